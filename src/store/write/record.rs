//! The recording of a batch, which is the same on both databases; each has its own statements.
//!
//! The number of statements does not depend on the number of events, except for copies of messages that come out of
//! their order. A statement that has nothing to do is not sent.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::acks::AckRows;
use super::chats::ChatRows;
use super::erasure::retention::RetentionRows;
use super::erasure::{ErasureRows, erase_messages, without_erased};
use super::events::{EventRows, take_numbers};
use super::folding::{FoldLimit, Written, write_messages};
use super::media::MediaRows;
use super::messages::MessageRows;
use super::persons::moves::{MoveRows, move_messages};
use super::persons::{Learner, PersonRows};
use super::reactions::ReactionRows;
use super::responses::ResponseRows;
use super::search::SearchRows;
use crate::StoreError;
use crate::error::{all_written, in_table};
use domain::chat::UpdatedMessage;
use domain::chat::response_tracker::AnswersAround;
use domain::chat::touched_chats::TouchedChats;
use domain::event::Event;
use domain::event::batch::{LedgerRow, LedgerRows, Receipt, TableChanges, fold_acks, message_copies};
use domain::message::ack::{AckRaise, MessageAck};
use domain::message::fold::TOO_MANY_COPIES;
use domain::message::{Message, MessageKey};
use domain::search::SearchEntry;

/// The number of messages that a batch moves to the conversation of their person. Most persons have no more; the others are
/// moved later.
const MOVED_AT_ONCE: u32 = 64;

/// The statements on a connection inside a transaction that holds the ledger's clock.
pub(crate) trait Rows:
    EventRows
    + MessageRows
    + AckRows
    + ReactionRows
    + ChatRows
    + ResponseRows
    + SearchRows
    + MediaRows
    + PersonRows
    + MoveRows
    + ErasureRows
    + RetentionRows
    + Send
{
}

/// Records `events` within the caller's transaction.
pub(crate) async fn record(rows: &mut dyn Rows, events: &[Event]) -> Result<Vec<Receipt>, StoreError> {
    let count = i64::try_from(events.len()).expect("a batch is far smaller than 2^63");
    let last_seq = take_numbers(rows, count).await?;
    let left = without_erased(rows, events).await?;
    let ledger = LedgerRows::fold(left.as_ref().map_or(events, |left| &left.events), last_seq);
    let new = rows.append_events(&ledger).await?;
    all_written("events", ledger.iter().len(), new.len() as u64)?;
    let (set_aside, moves) = apply(rows, &ledger.new_rows(&new), FoldLimit::Bounded).await?;
    if moves {
        move_messages(rows, MOVED_AT_ONCE).await?;
    }
    let repeated = ledger.media_of_repeats(&new);
    if !repeated.is_empty() {
        rows.wake_media(&repeated).await?;
    }
    if let Some(left) = &left {
        erase_messages(rows, &left.messages).await?;
    }
    Ok(ledger.receipts(&new, &set_aside))
}

/// Writes what new rows of the ledger change in the other tables. Returns the numbers of the rows that were set aside, and
/// whether messages are to be moved.
pub(crate) async fn apply(
    rows: &mut dyn Rows,
    new: &[&LedgerRow<'_>],
    limit: FoldLimit,
) -> Result<(HashSet<i64>, bool), StoreError> {
    let copies = message_copies(new);
    let mut learner = Learner::new(limit);
    learner.learn(rows, &copies).await?;
    let written = write_messages(rows, copies, limit).await?;
    if !written.set_aside.is_empty() {
        let seqs = Vec::from_iter(written.set_aside.iter().copied());
        all_written("events", seqs.len(), rows.set_aside(&seqs, TOO_MANY_COPIES).await?)?;
        let others = new.iter().copied().filter(|row| !written.set_aside.contains(&row.seq));
        learner.unlearn(rows, &message_copies(&Vec::from_iter(others))).await?;
    }
    learner.learn_of_known(rows, &written.stated_again).await?;
    let changes = TableChanges::of(new.iter().copied().filter(|row| !written.set_aside.contains(&row.seq)));
    state_acks(rows, &changes.acks, &written).await?;
    if !changes.reactions.is_empty() {
        let reactions = &changes.reactions;
        all_written("message_reactions", reactions.len(), rows.upsert_reactions(reactions).await?)?;
    }
    update_chats(rows, &written).await?;
    let entries: Vec<SearchEntry> = written.inserted.iter().filter_map(SearchEntry::of).collect();
    if !entries.is_empty() {
        all_written("message_search", entries.len(), rows.insert_words(&entries).await?)?;
    }
    let other_chat = |it: &&UpdatedMessage| it.before.chat_id != it.message.fields.chat_id;
    let moved: Vec<MessageKey> = written.rewritten.iter().filter(other_chat).map(|it| it.message.key()).collect();
    if !moved.is_empty() {
        rows.move_media(&moved).await?;
    }
    if !changes.media.is_empty() {
        all_written("media", changes.media.len(), rows.insert_media(&changes.media).await?)?;
    }
    Ok((written.set_aside, learner.moves))
}

/// Stores the acks, and raises the messages by them. New messages are raised by all acks that were ever stated of them,
/// the others only by the new ones.
async fn state_acks(rows: &mut dyn Rows, acks: &[MessageAck], written: &Written) -> Result<(), StoreError> {
    let mut acked_before = HashSet::new();
    if !written.inserted.is_empty() {
        acked_before.extend(rows.acked(&Vec::from_iter(written.inserted.iter().map(Message::key))).await?);
    }
    if !acks.is_empty() {
        all_written("message_acks", acks.len(), rows.upsert_acks(acks).await?)?;
    }
    let claimed = claim_acks(rows, acks, written).await?;
    // A new message is written with the ack that it states, but without the time of that ack.
    let stated: HashMap<MessageKey, &Message> =
        written.inserted.iter().map(|message| (message.key(), message)).collect();
    let says_so = |raise: &AckRaise| {
        let message = stated.get(&raise.message_key());
        raise.delivered_at.is_none() && message.is_some_and(|message| message.ack.order() >= raise.status.order())
    };
    let mut raises = AckRaise::fold(acks.iter().chain(&claimed));
    raises.retain(|raise| !says_so(raise) && !acked_before.contains(&raise.message_key()));
    if !acked_before.is_empty() {
        let acked_before = Vec::from_iter(acked_before);
        raises.extend(rows.stated_raises(&acked_before).await.map_err(in_table("message_acks"))?);
    }
    if !raises.is_empty() {
        all_written("messages", 0, rows.raise_acks(&raises).await?)?;
    }
    Ok(())
}

/// Copies acks that came without an instance to the outgoing messages with their ids, whichever of the two came second.
/// A message that was outgoing before has the earlier ones already. This takes two look-ups by plain id instead of a
/// join, so that the tables can be distributed by instance.
async fn claim_acks(
    rows: &mut dyn Rows,
    acks: &[MessageAck],
    written: &Written,
) -> Result<Vec<MessageAck>, StoreError> {
    let turned = written.rewritten.iter().filter(|it| !it.before.from_me || it.before.is_service);
    let turned = turned.map(|it| &it.message);
    // A service message can turn out to be an incoming one.
    let outgoing = |it: &&Message| it.fields.from_me && !it.is_service && !it.instance_id.is_unstated();
    let mut owners: Vec<MessageKey> =
        written.inserted.iter().chain(turned).filter(outgoing).map(Message::key).collect();
    let mut unclaimed: Vec<MessageAck> = acks.iter().filter(|ack| ack.instance_id.is_unstated()).cloned().collect();
    let (sought, acked) = (ids(owners.iter().map(|key| &key.id)), ids(unclaimed.iter().map(|ack| &ack.message_id)));
    if !sought.is_empty() {
        unclaimed.extend(rows.unstated_acks(&sought).await.map_err(in_table("message_acks"))?);
    }
    if !acked.is_empty() {
        owners.extend(rows.outgoing_with_ids(&acked).await.map_err(in_table("messages"))?);
    }
    let claimed = claimed(unclaimed, owners);
    if !claimed.is_empty() {
        all_written("message_acks", claimed.len(), rows.upsert_acks(&claimed).await?)?;
    }
    Ok(claimed)
}

fn ids<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    BTreeSet::from_iter(ids).into_iter().cloned().collect()
}

/// Returns each unclaimed ack once for each owner of a message with its id.
fn claimed(unclaimed: Vec<MessageAck>, owners: Vec<MessageKey>) -> Vec<MessageAck> {
    let mut by_id = HashMap::<String, Vec<MessageAck>>::new();
    for ack in unclaimed {
        by_id.entry(ack.message_id.clone()).or_default().push(ack);
    }
    let claim = |MessageKey { instance_id, id }: MessageKey| {
        let acks = by_id.get(&id).map(Vec::as_slice).unwrap_or_default();
        let own = |ack: &MessageAck| MessageAck { instance_id: instance_id.clone(), ..ack.clone() };
        acks.iter().map(own).collect::<Vec<_>>()
    };
    fold_acks(owners.into_iter().flat_map(claim).collect())
}

pub(crate) async fn update_chats(
    rows: &mut dyn Rows,
    Written { inserted, rewritten, .. }: &Written,
) -> Result<(), StoreError> {
    let keys = TouchedChats::keys(inserted, rewritten);
    if keys.is_empty() {
        return Ok(());
    }
    let loaded = rows.chats(&Vec::from_iter(keys.iter().cloned())).await.map_err(in_table("chats"))?;
    let mut chats = TouchedChats::new(keys, loaded);
    let fresh = chats.fresh();
    if !fresh.is_empty() {
        chats.give_names(rows.given_names(&fresh).await.map_err(in_table("chat_names"))?);
    }
    inserted.iter().for_each(|message| chats.insert(message));
    rewritten.iter().for_each(|rewritten| chats.relocate(rewritten));
    let vacant = chats.stale_fields();
    if !vacant.is_empty() {
        chats.refill(rows.latest_in_chats(&vacant).await.map_err(in_table("messages"))?);
    }
    update_responses(rows, &mut chats).await?;
    let (saved, emptied) = chats.into_rows();
    if !saved.is_empty() {
        all_written("chats", saved.len(), rows.save_chats(&saved).await?)?;
    }
    if !emptied.is_empty() {
        rows.delete_chats(&emptied).await?;
    }
    Ok(())
}

/// Works out who waits in the chats, and who was answered.
async fn update_responses(rows: &mut dyn Rows, chats: &mut TouchedChats) -> Result<(), StoreError> {
    let changes = chats.response_changes();
    if !changes.unknown_waits.is_empty() {
        chats.set_waiting(rows.questions_since(&changes.unknown_waits).await.map_err(in_table("messages"))?);
    }
    let mut found = vec![];
    if !changes.affected.is_empty() {
        found = rows.around(&changes.affected).await.map_err(in_table("messages"))?;
        rows.delete_responses(&Vec::from_iter(found.iter().map(AnswersAround::span))).await?;
    }
    let responses = changes.responses(found);
    if !responses.is_empty() {
        all_written("responses", responses.len(), rows.save_responses(&responses).await?)?;
    }
    Ok(())
}
