//! The messages of a batch are written here. First copies are inserted, and later ones are laid over the recorded
//! message. If a copy came out of its order, all copies of its message are folded again.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::messages::{IfPresent, TextColumns};
use super::persons::Aliases;
use crate::StoreError;
use crate::error::{all_written, in_table};
use crate::write::record::Rows;
use domain::chat::{ChatKey, ChatPlacement, UpdatedMessage, chat_id};
use domain::message::fold::{
    CopySizes, LedgerCopy, MAX_FOLDED_BYTES, MAX_FOLDED_COPIES, RecordedMessage, essential_copies,
};
use domain::message::{Message, MessageKey};
use domain::search::{SearchEntry, SearchedTexts};

/// The limit on the bytes of texts that one batch may read again. From the ledger, a batch may read as much as one
/// message can be folded from, because other instances wait meanwhile.
const BATCH_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// The number of messages whose texts are read together.
const TEXTS: usize = 32;

/// The limit on what may be read again for a copy that came out of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldLimit {
    /// Events wait, so only what is bounded in size is folded.
    Bounded,
    /// Everything is folded, however large it is.
    None,
}

/// The written messages of a batch.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) inserted: Vec<Message>,
    /// These have no texts.
    pub(crate) rewritten: Vec<UpdatedMessage>,
    /// The recorded messages whose new copies tell more of persons.
    pub(crate) stated_again: Vec<MessageKey>,
    /// The numbers of the copies that came out of their order after too many others. They change nothing.
    pub(crate) set_aside: HashSet<i64>,
}

/// A recorded message and its new copies.
struct Known {
    recorded: RecordedMessage,
    /// The copies that come after all that are recorded.
    later: Vec<LedgerCopy>,
    /// The others, which can only be folded with the recorded ones.
    early: Vec<LedgerCopy>,
}

/// Writes the messages of new copies, all of which the ledger has already.
pub(crate) async fn write_messages(
    rows: &mut dyn Rows,
    mut copies: BTreeMap<MessageKey, Vec<LedgerCopy>>,
    limit: FoldLimit,
) -> Result<Written, StoreError> {
    let mut written = Written::default();
    if copies.is_empty() {
        return Ok(written);
    }
    let mut aliases = Aliases::default();
    let messages = copies.values().map(|copies| Message::fold(copies).placed()).collect();
    let messages = in_chats(rows, &mut aliases, messages).await?;
    let new = rows.write_messages(&messages, IfPresent::Keep).await?;
    copies.retain(|key, _| !new.contains(key));
    written.inserted = messages.into_iter().filter(|message| new.contains(&message.key())).collect();
    if copies.is_empty() {
        return Ok(written);
    }
    let last = copies.values().flatten().map(|copy| copy.seq).max().unwrap_or_default();
    let count = copies.len();
    let known = known(rows, copies).await?;
    // A message that is neither new nor recorded was swallowed.
    all_written("messages", count, known.len() as u64)?;
    written.stated_again = known.iter().filter(|it| it.tells_of_persons()).map(|it| it.recorded.key()).collect();
    let (out_of_order, in_order): (Vec<Known>, Vec<Known>) = known.into_iter().partition(|it| !it.early.is_empty());
    if !out_of_order.is_empty() {
        fold_anew(rows, &mut aliases, out_of_order, last, limit, &mut written).await?;
    }
    let overlaid = overlay(rows, &mut aliases, in_order, limit).await?;
    written.rewritten.extend(overlaid);
    Ok(written)
}

/// Puts the messages into the conversations of their persons.
async fn in_chats(
    rows: &mut dyn Rows,
    aliases: &mut Aliases,
    messages: Vec<Message>,
) -> Result<Vec<Message>, StoreError> {
    let chat = |message: &Message| {
        Some(ChatKey { instance_id: message.instance_id.clone(), chat_id: message.fields.chat_id.clone()? })
    };
    let persons = messages.iter().filter_map(chat).filter(|chat| chat_id::is_person(&chat.chat_id));
    aliases.load(rows, persons).await?;
    let in_chat = |message: Message| match chat(&message) {
        Some(chat) => message.in_chat(aliases.chat_of(&chat)),
        None => message,
    };
    Ok(messages.into_iter().map(in_chat).collect())
}

impl Known {
    /// Returns whether new copies state another person's chat than the recorded ones, or the same one at a lower number.
    /// Others say nothing new, however many there are.
    fn tells_of_persons(&self) -> bool {
        let (recorded, stated) = (&self.recorded, self.recorded.stated_chat());
        let mut copies = self.early.iter().chain(&self.later);
        copies.any(|it| {
            let person = it.copy.fields.chat_id.as_ref().filter(|chat| chat_id::is_person(chat));
            person.is_some_and(|chat| stated.is_none_or(|stated| chat != stated) || it.seq < recorded.event_seq)
        })
    }
}

/// Compares the copies with what is recorded of their messages.
async fn known(
    rows: &mut dyn Rows,
    mut copies: BTreeMap<MessageKey, Vec<LedgerCopy>>,
) -> Result<Vec<Known>, StoreError> {
    let recorded = rows.recorded(&Vec::from_iter(copies.keys().cloned())).await.map_err(in_table("messages"))?;
    let known = recorded.into_iter().filter_map(|recorded| {
        let (later, early) = recorded.split(copies.remove(&recorded.key())?);
        Some(Known { recorded, later, early })
    });
    Ok(known.collect())
}

/// Lays the later copies over the recorded messages. A service message that turns out to be a real one begins anew.
async fn overlay(
    rows: &mut dyn Rows,
    aliases: &mut Aliases,
    messages: Vec<Known>,
    limit: FoldLimit,
) -> Result<Vec<UpdatedMessage>, StoreError> {
    let overlaid = messages.into_iter().filter(|it| !it.later.is_empty());
    let overlaid: Vec<(Message, RecordedMessage)> =
        overlaid.map(|it| (Message::fold(&it.later), it.recorded)).collect();
    let real = overlaid.iter().filter(|(message, recorded)| recorded.is_service && !message.is_service);
    let real: Vec<MessageKey> = real.map(|(message, _)| message.key()).collect();
    if !real.is_empty() {
        all_written("messages", real.len(), rows.empty_messages(&real).await?)?;
    }
    let may_reword = |(message, recorded): &&(Message, RecordedMessage)| {
        message.wording.is_some() && message.edit.is_none() && !recorded.is_service
    };
    let worded: Vec<&Message> = overlaid.iter().filter(may_reword).map(|(message, _)| message).collect();
    let reworded = if worded.is_empty() { HashSet::new() } else { rows.reworded(&worded).await? };
    let overlaid = overlaid.into_iter().map(|(message, recorded)| {
        let changes_text = reworded.contains(&message.key());
        (message.laid_over(&recorded, changes_text), ChatPlacement::from(&recorded))
    });
    rewrite(rows, aliases, overlaid.collect(), limit).await
}

/// Folds the messages from the ledger, if the limit allows that. Of the others, the copies that are out of order are
/// set aside.
async fn fold_anew(
    rows: &mut dyn Rows,
    aliases: &mut Aliases,
    messages: Vec<Known>,
    last: i64,
    limit: FoldLimit,
    written: &mut Written,
) -> Result<(), StoreError> {
    let keys: Vec<MessageKey> = messages.iter().map(|it| it.recorded.key()).collect();
    let sizes: HashMap<MessageKey, CopySizes> = rows.copy_sizes(&keys).await?.into_iter().collect();
    let bytes = |it: &Known| sizes.get(&it.recorded.key()).map_or(0, |sizes| sizes.bytes);
    let can_be_folded = |it: &Known| sizes.get(&it.recorded.key()).is_some_and(|sizes| sizes.can_be_folded());
    let (folded, too_many): (Vec<Known>, Vec<Known>) =
        messages.into_iter().partition(|it| limit == FoldLimit::None || can_be_folded(it));
    let total = |size: fn(&CopySizes) -> i64| {
        folded.iter().filter_map(|it| sizes.get(&it.recorded.key())).map(size).sum::<i64>()
    };
    let is_too_much = total(|it| it.copies) > MAX_FOLDED_COPIES || total(|it| it.bytes) > MAX_FOLDED_BYTES;
    if limit == FoldLimit::Bounded && folded.len() > 1 && is_too_much {
        return Err(StoreError::TooMuch);
    }
    for piece in pieces(folded, bytes) {
        written.rewritten.extend(fold_piece(rows, aliases, piece, last, limit).await?);
    }
    written.set_aside.extend(too_many.iter().flat_map(|it| &it.early).map(|copy| copy.seq));
    written.rewritten.extend(overlay(rows, aliases, too_many, limit).await?);
    Ok(())
}

/// Divides the messages into pieces of at least one, each of which reads no more than one message that can be folded.
fn pieces(messages: Vec<Known>, bytes: impl Fn(&Known) -> i64) -> Vec<Vec<Known>> {
    let (mut pieces, mut room) = (Vec::<Vec<Known>>::new(), 0);
    for message in messages {
        room -= bytes(&message);
        match pieces.last_mut() {
            Some(piece) if room >= 0 => piece.push(message),
            _ => {
                room = MAX_FOLDED_BYTES - bytes(&message);
                pieces.push(vec![message]);
            }
        }
    }
    pieces
}

/// Folds messages from their copies, which are read page by page. Only what the message depends on is kept.
async fn fold_piece(
    rows: &mut dyn Rows,
    aliases: &mut Aliases,
    messages: Vec<Known>,
    last: i64,
    limit: FoldLimit,
) -> Result<Vec<UpdatedMessage>, StoreError> {
    let keys: Vec<MessageKey> = messages.iter().map(|it| it.recorded.key()).collect();
    // A rebuild has applied the copies up to the last of these. Otherwise, all that the ledger holds are applied.
    let last = if limit == FoldLimit::None { last } else { i64::MAX };
    let mut kept = BTreeMap::<MessageKey, Vec<LedgerCopy>>::new();
    let mut reached = Some(0);
    while let Some(after) = reached.filter(|reached| *reached < last) {
        let page = rows.copies(&keys, after, last).await.map_err(in_table("events"))?;
        page.copies.into_iter().for_each(|copy| kept.entry(copy.key()).or_default().push(copy));
        kept.values_mut().for_each(|copies| *copies = essential_copies(std::mem::take(copies)));
        reached = page.reached;
    }
    let folded = messages.into_iter().filter_map(|it| {
        let message = Message::fold(&kept.remove(&it.recorded.key())?);
        Some((message.laid_over(&it.recorded, false), ChatPlacement::from(&it.recorded)))
    });
    rewrite(rows, aliases, folded.collect(), limit).await
}

/// Replaces recorded messages and their words.
async fn rewrite(
    rows: &mut dyn Rows,
    aliases: &mut Aliases,
    messages: Vec<(Message, ChatPlacement)>,
    limit: FoldLimit,
) -> Result<Vec<UpdatedMessage>, StoreError> {
    if messages.is_empty() {
        return Ok(vec![]);
    }
    let (messages, places): (Vec<Message>, Vec<ChatPlacement>) = messages.into_iter().unzip();
    let messages = in_chats(rows, aliases, messages).await?;
    let written = rows.write_messages(&messages, IfPresent::Overlay).await?;
    all_written("messages", messages.len(), written.len() as u64)?;
    let rewritten = messages.into_iter().zip(places).map(|(message, before)| UpdatedMessage { message, before });
    let rewritten: Vec<UpdatedMessage> = rewritten.collect();
    index_anew(rows, &rewritten, limit).await?;
    let without_texts = |it: UpdatedMessage| UpdatedMessage { message: it.message.without_texts(), ..it };
    Ok(rewritten.into_iter().map(without_texts).collect())
}

/// Indexes the words again of those messages whose texts or place have changed. The words are those of the rows,
/// because the new copies may fill only some of the texts. Returns the number of words and facets that were indexed.
pub(crate) async fn index_anew(
    rows: &mut dyn Rows,
    rewritten: &[UpdatedMessage],
    limit: FoldLimit,
) -> Result<usize, StoreError> {
    let has_text = |it: &UpdatedMessage| it.message.fields.searched() != SearchedTexts::default();
    let touched: Vec<&UpdatedMessage> = rewritten.iter().filter(|it| has_text(it) || it.has_moved()).collect();
    if touched.is_empty() {
        return Ok(0);
    }
    let keys: Vec<MessageKey> = touched.iter().map(|it| it.message.key()).collect();
    let mut recorded = recorded_words(rows, &keys, limit).await?;
    rows.delete_words(&Vec::from_iter(touched.iter().map(|it| it.place_before()))).await?;
    let entries = touched.into_iter().filter_map(|UpdatedMessage { message, .. }| {
        let words = recorded.remove(&message.key())?;
        let chat_id = message.fields.chat_id.as_deref();
        SearchEntry::new(message.key(), chat_id, message.occurred_at(), message.seq, words)
    });
    let entries: Vec<SearchEntry> = entries.collect();
    if !entries.is_empty() {
        all_written("message_search", entries.len(), rows.insert_words(&entries).await?)?;
    }
    Ok(entries.iter().map(SearchEntry::terms).sum())
}

/// Returns the words of the recorded texts.
async fn recorded_words(
    rows: &mut dyn Rows,
    messages: &[MessageKey],
    limit: FoldLimit,
) -> Result<HashMap<MessageKey, String>, StoreError> {
    let mut words = HashMap::<MessageKey, String>::new();
    for keys in messages.chunks(TEXTS) {
        let texts = rows.texts(keys).await.map_err(in_table("messages"))?;
        let key = |texts: &TextColumns| MessageKey { instance_id: texts.instance_id.clone(), id: texts.id.clone() };
        words.extend(texts.iter().map(|texts| (key(texts), texts.words())));
        let bytes: usize = words.values().map(String::len).sum();
        if limit == FoldLimit::Bounded && words.len() > 1 && bytes > BATCH_TEXT_BYTES {
            return Err(StoreError::TooMuch);
        }
    }
    Ok(words)
}
