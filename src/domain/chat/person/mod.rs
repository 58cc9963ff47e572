//! One person, one conversation. A person may have several ids: phone numbers that are written in two ways, and ids that
//! hide the number (`@lid`). [`evidence`] is what copies of messages say about that, [`national_number`] has the
//! numbers that are written in two ways, and [`aliases`] decides which id the conversation has. [`phone_book`] reads the
//! names that the owner has for numbers.

pub mod aliases;
pub mod evidence;
pub mod national_number;
pub mod phone_book;
pub mod redaction;
