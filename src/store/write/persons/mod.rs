//! Persons with several ids: the evidence of that, and the ids that their conversations have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use serde::Serialize;

use crate::StoreError;
use crate::error::{all_written, in_table};
use crate::write::events::take_numbers;
use crate::write::folding::FoldLimit;
use crate::write::record::Rows;
use domain::chat::ChatKey;
use domain::chat::chat_id;
use domain::chat::person::aliases::{OwnerLink, Persons};
use domain::chat::person::evidence::{ChatLink, of_copies, of_quote};
use domain::instance::InstanceId;
use domain::message::MessageKey;
use domain::message::fold::LedgerCopy;
use names::{GivenName, give_names};

pub(crate) mod moves;
pub(crate) mod names;

/// The number of copies that quote a message whose chats are evidence.
pub(crate) const QUOTING: i64 = 20;

/// The contract of persons with several ids.
#[async_trait]
pub trait PersonStore: Send + Sync {
    /// Returns whether messages are to be moved to the conversation of their person.
    async fn is_moving(&self) -> Result<bool, StoreError>;

    /// Moves at most `limit` of them, in a transaction that holds the ledger's clock. Returns whether more are to be moved.
    async fn move_messages(&self, limit: u32) -> Result<bool, StoreError>;

    /// Stores what the owner says about two persons of an instance: that they are one, or that they are not.
    async fn link_persons(&self, word: &OwnerWord) -> Result<(), StoreError>;

    /// Stores the names that the owner gives chats, of which no two have the same key.
    async fn name_chats(&self, names: &[GivenName]) -> Result<(), StoreError>;

    /// Returns all that is known about the persons of an instance who have several ids, and the names of the owner.
    async fn persons(&self, instance_id: &InstanceId) -> Result<KnownPersons, StoreError>;
}

/// The persons of an instance who have several ids.
#[derive(Debug, Default)]
pub struct KnownPersons {
    /// The aliases with their conversations, those of a conversation together.
    pub aliases: Vec<(String, String)>,
    pub links: Vec<ChatLink>,
    pub owner: Vec<OwnerLink>,
    /// The chats that the owner named, with their names.
    pub names: Vec<(String, String)>,
}

/// A word of the owner about two ids, in their canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerWord {
    pub instance_id: InstanceId,
    pub one: String,
    pub other: String,
    pub linked: bool,
}

impl OwnerWord {
    /// Stores the word, and works out anew which ids are aliases.
    pub(crate) async fn store(&self, rows: &mut dyn Rows) -> Result<(), StoreError> {
        let seq = take_numbers(rows, 1).await?;
        let (a, b) = if self.one <= self.other { (&self.one, &self.other) } else { (&self.other, &self.one) };
        let (instance_id, linked) = (self.instance_id.clone(), self.linked);
        let link = OwnerLink { instance_id, a: a.clone(), b: b.clone(), linked, seq };
        all_written("chat_links_owner", 1, rows.save_owner_link(&link).await?)?;
        let ids = BTreeSet::from([a.clone(), b.clone()]);
        Learner::new(FoldLimit::Bounded).resolve(rows, &self.instance_id, ids).await
    }
}

/// A row of `chat_aliases`: an id of a person, and the id of the conversation. Both are the same if the id was an alias
/// and is none any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ChatAlias {
    pub(crate) instance_id: InstanceId,
    pub(crate) alias: String,
    pub(crate) chat_id: String,
    /// The number of the ledger's clock at the last change.
    pub(crate) seq: i64,
}

/// A chat that copies of a message state, with the lowest number of such a copy.
pub(crate) struct NamedChat {
    pub(crate) instance_id: InstanceId,
    pub(crate) message_id: String,
    pub(crate) chat_id: String,
    pub(crate) seq: i64,
}

/// A copy of a message in a person's chat that quotes another message.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quoting {
    pub(crate) instance_id: InstanceId,
    pub(crate) quoted_message_id: String,
    pub(crate) chat_id: String,
    pub(crate) seq: i64,
}

impl Quoting {
    fn of(copy: &LedgerCopy) -> Option<Self> {
        let fields = &copy.copy.fields;
        let (quoted_message_id, chat_id) = (fields.quoted_message_id.clone()?, fields.chat_id.clone()?);
        let instance_id = copy.instance_id.clone();
        chat_id::is_person(&chat_id).then_some(Self { instance_id, quoted_message_id, chat_id, seq: copy.seq })
    }

    fn quoted(&self) -> MessageKey {
        MessageKey { instance_id: self.instance_id.clone(), id: self.quoted_message_id.clone() }
    }
}

/// The statements on persons within a transaction.
#[async_trait]
pub(crate) trait PersonRows {
    /// Returns the persons' chats that applied copies of these messages state.
    async fn named_chats(&mut self, messages: &[MessageKey]) -> Result<Vec<NamedChat>, StoreError>;

    /// Returns the first [`QUOTING`] applied copies in persons' chats that quote each of these messages.
    async fn quoting(&mut self, messages: &[MessageKey]) -> Result<Vec<Quoting>, StoreError>;

    /// Writes evidence, and returns what is new. Evidence that is there already keeps the lower number.
    async fn add_links(&mut self, links: &[ChatLink]) -> Result<Vec<ChatLink>, StoreError>;

    /// Removes evidence that has these numbers.
    async fn forget_links(&mut self, links: &[ChatLink]) -> Result<(), StoreError>;

    /// Returns the evidence that names these persons, and others with the same number.
    async fn links_of(&mut self, persons: &[ChatKey]) -> Result<Vec<ChatLink>, StoreError>;

    /// Returns what the owner says about these persons.
    async fn owner_links(&mut self, persons: &[ChatKey]) -> Result<Vec<OwnerLink>, StoreError>;

    /// Writes a word of the owner in the place of an earlier one, and returns how many rows were written.
    async fn save_owner_link(&mut self, link: &OwnerLink) -> Result<u64, StoreError>;

    /// Returns the conversations of these ids, of those that are aliases.
    async fn aliases(&mut self, ids: &[ChatKey]) -> Result<Vec<ChatAlias>, StoreError>;

    /// Writes whole rows, and returns how many were written.
    async fn save_aliases(&mut self, aliases: &[ChatAlias]) -> Result<u64, StoreError>;

    /// Writes names of the owner in the place of earlier ones, and returns how many rows were written.
    async fn save_names(&mut self, names: &[GivenName]) -> Result<u64, StoreError>;

    /// Returns the last name that the owner gave each of these conversations, under any id of the person.
    async fn given_names(&mut self, chats: &[ChatKey]) -> Result<Vec<(ChatKey, String)>, StoreError>;
}

/// The conversations of ids that are aliases.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    chats: HashMap<ChatKey, String>,
    asked: BTreeSet<ChatKey>,
}

impl Aliases {
    /// Looks up the ids that are not known yet.
    pub(crate) async fn load(
        &mut self,
        rows: &mut dyn Rows,
        ids: impl IntoIterator<Item = ChatKey>,
    ) -> Result<(), StoreError> {
        let unknown: Vec<ChatKey> = ids.into_iter().filter(|id| self.asked.insert(id.clone())).collect();
        if !unknown.is_empty() {
            let found = rows.aliases(&unknown).await.map_err(in_table("chat_aliases"))?;
            self.chats.extend(found.into_iter().map(|it| (it.key(), it.chat_id)));
        }
        Ok(())
    }

    /// Returns the id of the conversation.
    pub(crate) fn chat_of<'i>(&'i self, id: &'i ChatKey) -> &'i str {
        self.chats.get(id).unwrap_or(&id.chat_id)
    }
}

impl ChatAlias {
    fn key(&self) -> ChatKey {
        ChatKey { instance_id: self.instance_id.clone(), chat_id: self.alias.clone() }
    }
}

type Chats = BTreeMap<String, i64>;

/// The copies of a batch, by their messages.
pub(crate) type BatchCopies = BTreeMap<MessageKey, Vec<LedgerCopy>>;

/// Learns which ids belong to one person.
pub(crate) struct Learner {
    limit: FoldLimit,
    learnt: Vec<ChatLink>,
    /// True if messages are to be moved because of what was learnt.
    pub(crate) moves: bool,
}

impl Learner {
    pub(crate) fn new(limit: FoldLimit) -> Self {
        Self { limit, learnt: vec![], moves: false }
    }

    /// Learns from new copies, all of which the ledger has already.
    pub(crate) async fn learn(&mut self, rows: &mut dyn Rows, copies: &BatchCopies) -> Result<(), StoreError> {
        if copies.is_empty() {
            return Ok(());
        }
        self.learnt = evidence(rows, copies).await?;
        self.add(rows, self.learnt.clone()).await
    }

    /// Forgets what only copies said that were set aside. `copies` are the others of the batch.
    pub(crate) async fn unlearn(&mut self, rows: &mut dyn Rows, copies: &BatchCopies) -> Result<(), StoreError> {
        let links = evidence(rows, copies).await?;
        let unlearnt: Vec<ChatLink> = self.learnt.extract_if(.., |link| !links.contains(link)).collect();
        if unlearnt.is_empty() {
            return Ok(());
        }
        rows.forget_links(&unlearnt).await?;
        self.add(rows, links).await?;
        self.resolve_named(rows, unlearnt).await
    }

    /// Learns from messages of which the ledger had copies before, with all chats that their copies state.
    pub(crate) async fn learn_of_known(
        &mut self,
        rows: &mut dyn Rows,
        messages: &[MessageKey],
    ) -> Result<(), StoreError> {
        let chats = named_chats(rows, messages).await?;
        let links = chats.iter().flat_map(|(key, chats)| of_copies(&key.instance_id, chats));
        self.add(rows, links.collect()).await
    }

    /// Writes evidence, and works out anew which ids are aliases where there is something new.
    async fn add(&mut self, rows: &mut dyn Rows, links: Vec<ChatLink>) -> Result<(), StoreError> {
        let links = lowest(links);
        if links.is_empty() {
            return Ok(());
        }
        let new = rows.add_links(&links).await.map_err(in_table("chat_links"))?;
        self.resolve_named(rows, new).await
    }

    /// Works out anew which of the ids are aliases that these links name.
    async fn resolve_named(&mut self, rows: &mut dyn Rows, links: Vec<ChatLink>) -> Result<(), StoreError> {
        let mut persons = BTreeMap::<InstanceId, BTreeSet<String>>::new();
        for link in links {
            persons.entry(link.instance_id).or_default().extend([link.a, link.b]);
        }
        for (instance_id, ids) in persons {
            self.resolve(rows, &instance_id, ids).await?;
        }
        Ok(())
    }

    /// Works out which of these ids are aliases, from all evidence about their persons, and begins to move their
    /// messages.
    pub(crate) async fn resolve(
        &mut self,
        rows: &mut dyn Rows,
        instance_id: &InstanceId,
        ids: BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let (mut changed, chats) = changed_aliases(rows, instance_id, ids).await?;
        if changed.is_empty() {
            return Ok(());
        }
        // The feed shows each change at a number of its own. A rebuild changes nothing that anybody has seen.
        if self.limit == FoldLimit::Bounded {
            let count = i64::try_from(changed.len()).expect("it is far smaller than 2^63");
            let last_seq = take_numbers(rows, count).await?;
            for (alias, seq) in changed.iter_mut().rev().zip((0..=last_seq).rev()) {
                alias.seq = seq;
            }
        }
        all_written("chat_aliases", changed.len(), rows.save_aliases(&changed).await?)?;
        give_names(rows, chats).await?;
        rows.begin_moves(&changed).await?;
        self.moves = true;
        Ok(())
    }
}

/// Returns the evidence in the copies of a batch, each piece once.
async fn evidence(rows: &mut dyn Rows, copies: &BatchCopies) -> Result<Vec<ChatLink>, StoreError> {
    let mut links: Vec<ChatLink> = copies.values().flatten().flat_map(links_of_copy).collect();
    for (key, copies) in copies {
        links.extend(of_copies(&key.instance_id, &named(copies)));
    }
    links.extend(of_quotes(rows, copies).await?);
    Ok(lowest(links))
}

fn links_of_copy(copy: &LedgerCopy) -> impl Iterator<Item = ChatLink> {
    copy.copy.links.iter().map(|link| link.clone().at(&copy.instance_id, copy.seq))
}

fn named(copies: &[LedgerCopy]) -> Chats {
    let mut chats = Chats::new();
    for copy in copies {
        if let Some(chat) = &copy.copy.fields.chat_id {
            let seq = chats.entry(chat.clone()).or_insert(copy.seq);
            *seq = copy.seq.min(*seq);
        }
    }
    chats
}

async fn named_chats(rows: &mut dyn Rows, messages: &[MessageKey]) -> Result<HashMap<MessageKey, Chats>, StoreError> {
    let mut chats = HashMap::<MessageKey, Chats>::new();
    if messages.is_empty() {
        return Ok(chats);
    }
    for NamedChat { instance_id, message_id, chat_id, seq } in
        rows.named_chats(messages).await.map_err(in_table("events"))?
    {
        chats.entry(MessageKey { instance_id, id: message_id }).or_default().insert(chat_id, seq);
    }
    Ok(chats)
}

/// Returns the evidence of quotes: of what the new copies quote, and of the copies that quote their messages. The chat of the
/// quoting side is that of the copy that quotes, and the quoted side has the chats of all copies, so that it does not matter
/// in which order they came.
async fn of_quotes(rows: &mut dyn Rows, copies: &BatchCopies) -> Result<Vec<ChatLink>, StoreError> {
    let mut quotes: BTreeSet<Quoting> = copies.values().flatten().filter_map(Quoting::of).collect();
    let keys: Vec<MessageKey> = copies.keys().cloned().collect();
    quotes.extend(rows.quoting(&keys).await.map_err(in_table("events"))?);
    let quoted: BTreeSet<MessageKey> = quotes.iter().map(Quoting::quoted).collect();
    let chats = named_chats(rows, &Vec::from_iter(quoted)).await?;
    let link =
        |quote: &Quoting| Some(of_quote(&quote.instance_id, (&quote.chat_id, quote.seq), chats.get(&quote.quoted())?));
    Ok(quotes.iter().filter_map(link).flatten().collect())
}

/// Returns each piece of evidence once, with its lowest number.
fn lowest(mut links: Vec<ChatLink>) -> Vec<ChatLink> {
    links.sort();
    links.dedup_by(|later, earlier| {
        let key = |link: &ChatLink| (link.instance_id.clone(), link.a.clone(), link.b.clone(), link.source);
        key(later) == key(earlier)
    });
    links
}

/// Returns the new aliases among these ids and those of the same persons, and those that are none any more; and the
/// conversations that they left, and those that they are in now.
async fn changed_aliases(
    rows: &mut dyn Rows,
    instance_id: &InstanceId,
    mut ids: BTreeSet<String>,
) -> Result<(Vec<ChatAlias>, BTreeSet<ChatKey>), StoreError> {
    let key = |id: &String| ChatKey { instance_id: instance_id.clone(), chat_id: id.clone() };
    let (mut links, mut owner) = (vec![], vec![]);
    let mut next = ids.clone();
    while !next.is_empty() {
        let keys: Vec<ChatKey> = next.iter().map(key).collect();
        links.extend(rows.links_of(&keys).await.map_err(in_table("chat_links"))?);
        owner.extend(rows.owner_links(&keys).await.map_err(in_table("chat_links_owner"))?);
        next = Persons::new(&links, &owner).neighbours(&ids);
        ids.extend(next.iter().cloned());
    }
    let chats = Persons::new(&links, &owner).aliases();
    let keys: Vec<ChatKey> = ids.iter().map(key).collect();
    let known = rows.aliases(&keys).await.map_err(in_table("chat_aliases"))?;
    let known: HashMap<String, String> = known.into_iter().map(|it| (it.alias, it.chat_id)).collect();
    let (mut changed, mut touched) = (vec![], BTreeSet::new());
    for alias in ids {
        let chat_id = chats.get(&alias).unwrap_or(&alias).clone();
        let before = known.get(&alias).unwrap_or(&alias);
        if *before != chat_id {
            touched.extend([before, &chat_id].map(key));
            changed.push(ChatAlias { instance_id: instance_id.clone(), alias, chat_id, seq: 0 });
        }
    }
    Ok((changed, touched))
}
