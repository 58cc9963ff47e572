//! The list of the views.

use std::fmt::Write;

/// The views with what each one shows.
pub(super) const VIEWS: [(&str, &str); 13] = [
    ("v_messages", "every message: who, when, what, its file, its reactions, how far it has come"),
    ("v_chats", "every chat: with whom, its latest message, how many there are"),
    ("v_contact_ids", "all ids of each person with whom there is a conversation"),
    ("v_unanswered", "who waits for an answer, since when, and what they asked"),
    ("v_response_times", "each time that somebody waited and was answered, and how long it took"),
    ("v_daily", "for each instance and day: messages in and out, chats, how far messages have come"),
    ("v_reactions", "each person's current reaction to a message"),
    ("v_current_reactions", "the same without the message"),
    ("v_media", "every file: whose message, whether it is stored, its type and size"),
    ("v_quarantine", "what could not be understood, why, and its text"),
    ("v_words", "the words of each message without case and accents, to look for menú as menu"),
    ("v_days", "the days since the first message, how long ago each is, when it begins and ends"),
    ("v_today", "one row: now, today, yesterday, and when they begin"),
];

/// Returns the list of the views as text.
pub(super) fn list() -> String {
    let width = VIEWS.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut list = String::from("The views, which are queried with: buzon sql \"SELECT * FROM v_unanswered\"\n\n");
    for (name, line) in VIEWS {
        writeln!(list, "  {name:width$}  {line}").expect("text takes text");
    }
    list + "\ndocs/sql.md explains each column, and has more than two dozen questions with their queries.\n"
}
