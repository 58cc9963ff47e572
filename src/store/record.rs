//! The recording of a batch: the one story that both databases tell, each with its own statements.
//!
//! The number of statements does not depend on the number of events, and none is sent that has nothing to do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::StoreError;
use super::acks::AckRows;
use super::chats::ChatRows;
use super::events::EventRows;
use super::media::MediaRows;
use super::messages::{IfPresent, MessageRows};
use super::reactions::ReactionRows;
use super::responses::ResponseRows;
use super::search::SearchRows;
use crate::domain::ack::{self, MessageAck};
use crate::domain::batch::{Changes, LedgerRows, Receipt, fold_acks};
use crate::domain::chat::{Chats, Place, Refolded};
use crate::domain::event::Event;
use crate::domain::message::{LedgerCopy, Message, MessageKey};
use crate::domain::search::SearchEntry;
use crate::domain::waiting::Around;

/// A connection inside a transaction that holds the ledger's clock.
pub(super) trait Rows:
    EventRows + MessageRows + AckRows + ReactionRows + ChatRows + Derived + MediaRows + Send
{
}

impl<T: EventRows + MessageRows + AckRows + ReactionRows + ChatRows + Derived + MediaRows + Send> Rows for T {}

/// The statements on what is worked out of messages for those who read.
pub(super) trait Derived: ResponseRows + SearchRows {}

impl<T: ResponseRows + SearchRows> Derived for T {}

/// Records `events` within the caller's transaction.
pub(super) async fn record(rows: &mut impl Rows, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
    let count = i64::try_from(events.len()).expect("a batch is far smaller than 2^63");
    let last_seq = rows.take_numbers(count).await?;
    let ledger = LedgerRows::fold(events, last_seq);
    let new = rows.append_events(&ledger).await?;
    apply(rows, ledger.changes(&new)).await?;
    let repeated = ledger.media_of_repeats(&new);
    if !repeated.is_empty() {
        rows.wake_media(&repeated).await?;
    }
    Ok(ledger.receipts(&new))
}

pub(super) async fn apply(rows: &mut impl Rows, changes: Changes) -> Result<(), StoreError> {
    let mut acked = changes.acked;
    if !changes.copies.is_empty() {
        acked.extend(rows.acked(&Vec::from_iter(changes.copies.keys().cloned())).await?);
    }
    if !changes.acks.is_empty() {
        rows.upsert_acks(&changes.acks).await?;
    }
    let (inserted, refolded) = write_messages(rows, changes.copies).await?;
    let claimed = claim_acks(rows, &changes.acks, &inserted, &refolded).await?;
    acked.extend(claimed.iter().map(MessageAck::message_key));
    acked.extend(refolded.iter().map(|it| it.message.key()));
    // The others are written with the ack that they state, and with no time of it.
    acked.extend(inserted.iter().filter(|message| message.ack.rank >= ack::DELIVERED).map(Message::key));
    if !acked.is_empty() {
        rows.raise_acks(&Vec::from_iter(acked)).await?;
    }
    if !changes.reactions.is_empty() {
        rows.upsert_reactions(&changes.reactions).await?;
    }
    update_chats(rows, &inserted, &refolded).await?;
    index(rows, &inserted, &refolded).await?;
    if !changes.media.is_empty() {
        rows.insert_media(&changes.media).await?;
    }
    Ok(())
}

/// Inserts the first copies, and folds anew from the ledger the messages that were there before.
async fn write_messages(
    rows: &mut impl Rows,
    copies: impl IntoIterator<Item = (MessageKey, Vec<LedgerCopy>)>,
) -> Result<(Vec<Message>, Vec<Refolded>), StoreError> {
    let messages: Vec<Message> = copies.into_iter().map(|(_, copies)| Message::fold(copies)).collect();
    if messages.is_empty() {
        return Ok((vec![], vec![]));
    }
    let new = rows.write_messages(&messages, IfPresent::Keep).await?;
    let (inserted, known): (Vec<Message>, Vec<Message>) =
        messages.into_iter().partition(|message| new.contains(&message.key()));
    let known: Vec<MessageKey> = known.iter().map(Message::key).collect();
    let refolded = if known.is_empty() { vec![] } else { refold(rows, &known).await? };
    Ok((inserted, refolded))
}

async fn refold(rows: &mut impl Rows, keys: &[MessageKey]) -> Result<Vec<Refolded>, StoreError> {
    let mut places: HashMap<MessageKey, Place> = rows.places(keys).await?.into_iter().collect();
    let mut copies = BTreeMap::<MessageKey, Vec<LedgerCopy>>::new();
    for copy in rows.copies(keys).await? {
        copies.entry(copy.key()).or_default().push(copy);
    }
    let messages: Vec<Message> = copies.into_values().map(Message::fold).collect();
    rows.write_messages(&messages, IfPresent::Replace).await?;
    let refolded = |message: Message| Some(Refolded { before: places.remove(&message.key())?, message });
    Ok(messages.into_iter().filter_map(refolded).collect())
}

/// Copies acks that came without an instance to the outgoing messages with their ids, whichever came second.
/// Two look-ups by plain id and no join, so that the tables can be distributed by instance.
async fn claim_acks(
    rows: &mut impl Rows,
    acks: &[MessageAck],
    inserted: &[Message],
    refolded: &[Refolded],
) -> Result<Vec<MessageAck>, StoreError> {
    let written = inserted.iter().chain(refolded.iter().map(|it| &it.message));
    let outgoing = written.filter(|it| it.fields.from_me && !it.instance_id.is_unstated());
    let mut owners: Vec<MessageKey> = outgoing.map(Message::key).collect();
    let mut unclaimed: Vec<MessageAck> = acks.iter().filter(|ack| ack.instance_id.is_unstated()).cloned().collect();
    let (sought, acked) = (ids(owners.iter().map(|key| &key.1)), ids(unclaimed.iter().map(|ack| &ack.message_id)));
    if !sought.is_empty() {
        unclaimed.extend(rows.unstated_acks(&sought).await?);
    }
    if !acked.is_empty() {
        owners.extend(rows.outgoing_with_ids(&acked).await?);
    }
    let claimed = claimed(unclaimed, owners);
    if !claimed.is_empty() {
        rows.upsert_acks(&claimed).await?;
    }
    Ok(claimed)
}

fn ids<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    BTreeSet::from_iter(ids).into_iter().cloned().collect()
}

/// Each unclaimed ack under each owner of a message with its id.
fn claimed(unclaimed: Vec<MessageAck>, owners: Vec<MessageKey>) -> Vec<MessageAck> {
    let mut by_id = HashMap::<String, Vec<MessageAck>>::new();
    for ack in unclaimed {
        by_id.entry(ack.message_id.clone()).or_default().push(ack);
    }
    let claim = |(instance_id, id): MessageKey| {
        let acks = by_id.get(&id).map(Vec::as_slice).unwrap_or_default();
        let own = |ack: &MessageAck| MessageAck { instance_id: instance_id.clone(), ..ack.clone() };
        acks.iter().map(own).collect::<Vec<_>>()
    };
    fold_acks(owners.into_iter().flat_map(claim).collect())
}

async fn update_chats(rows: &mut impl Rows, inserted: &[Message], refolded: &[Refolded]) -> Result<(), StoreError> {
    let keys = Chats::keys(inserted, refolded);
    if keys.is_empty() {
        return Ok(());
    }
    let loaded = rows.chats(&Vec::from_iter(keys.iter().cloned())).await?;
    let mut chats = Chats::new(keys, loaded);
    inserted.iter().for_each(|message| chats.insert(message));
    refolded.iter().for_each(|refolded| chats.relocate(refolded));
    let vacant = chats.vacancies();
    if !vacant.is_empty() {
        chats.refill(rows.latest_in_chats(&vacant).await?);
    }
    take_turns(rows, &mut chats).await?;
    let (saved, emptied) = chats.into_rows();
    if !saved.is_empty() {
        rows.save_chats(&saved).await?;
    }
    if !emptied.is_empty() {
        rows.delete_chats(&emptied).await?;
    }
    Ok(())
}

/// Works out who waits in the chats, and who was answered.
async fn take_turns(rows: &mut impl Rows, chats: &mut Chats) -> Result<(), StoreError> {
    let turns = chats.turns();
    if !turns.unknown.is_empty() {
        chats.wait(rows.first_incoming(&turns.unknown).await?);
    }
    let mut found = vec![];
    if !turns.touched.is_empty() {
        found = rows.around(&turns.touched).await?;
        rows.delete_responses(&Vec::from_iter(found.iter().map(Around::span))).await?;
    }
    let responses = turns.responses(found);
    if !responses.is_empty() {
        rows.save_responses(&responses).await?;
    }
    Ok(())
}

/// Keeps the words of the messages.
async fn index(rows: &mut impl Rows, inserted: &[Message], refolded: &[Refolded]) -> Result<(), StoreError> {
    if !refolded.is_empty() {
        rows.delete_words(&Vec::from_iter(refolded.iter().map(|it| (it.message.key(), it.before.occurred_at)))).await?;
    }
    let written = inserted.iter().chain(refolded.iter().map(|it| &it.message));
    let entries: Vec<SearchEntry> = written.filter_map(SearchEntry::of).collect();
    if !entries.is_empty() {
        rows.insert_words(&entries).await?;
    }
    Ok(())
}
