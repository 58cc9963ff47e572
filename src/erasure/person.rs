//! Finds out who a person is before an erasure, and what would go and what would stay.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{EraseError, SPAN};
use domain::access::scope::Scope;
use domain::chat::chat_id;
use domain::chat::person::aliases::Persons;
use domain::chat::person::evidence::{ChatLink, LinkSource};
use domain::chat::person::national_number;
use domain::erasure::EventTraces;
use domain::erasure::marks::{EventMarks, Mark, MarkKey};
use domain::event::{Effect, Event, EventState};
use domain::instance::InstanceId;
use domain::page::{Paging, SortOrder};
use domain::search::SearchQuery;
use domain::time::timestamp::Timestamp;
use store::{ErasureScan, MessageFilter, Store, StoreError};

/// The number of bytes of a code that people copy, and of messages of others that are shown.
const CODE_BYTES: usize = 4;
const SHOWN: u32 = 20;
/// The number of events that are read together.
const TOGETHER: u32 = 256;

/// A person to erase.
#[derive(Clone, Debug)]
pub struct ErasedPerson {
    pub instance_id: Option<InstanceId>,
    /// The ids, each with the reason why it is the person's.
    pub ids: BTreeMap<String, &'static str>,
    /// The ids that only a quote connects with the person.
    pub guesses: BTreeSet<String>,
}

/// The consequences of an erasure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureRehearsal {
    pub events: u64,
    pub messages: u64,
    pub reactions: u64,
    pub acks: u64,
    pub unusable: u64,
    pub oldest: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    /// Messages of others whose texts name the person, as instance and id.
    pub named_by_others: Vec<(String, String)>,
}

impl ErasedPerson {
    /// Finds the ids of the person that has this one. Those that only a quote connects with it are guesses.
    pub async fn find(
        store: &dyn Store,
        id: &str,
        instance_id: Option<InstanceId>,
        include_guesses: bool,
    ) -> Result<Self, StoreError> {
        let mut ids = BTreeMap::from([(id.to_owned(), "as given")]);
        let mut guesses = BTreeSet::new();
        loop {
            let before = (ids.len(), guesses.len());
            for form in
                ids.keys().filter_map(|id| chat_id::contact(id)).flat_map(national_number::forms).collect::<Vec<_>>()
            {
                ids.entry(chat_id::of_number(&form)).or_insert("the same number, written in another way");
            }
            let asked = Vec::from_iter(ids.keys().cloned());
            for instance in store.instances_of_persons(&asked).await? {
                if instance_id.as_ref().is_some_and(|only| *only != instance && !instance.is_unstated()) {
                    continue;
                }
                let known = store.persons(&instance).await?;
                let without_quotes: Vec<&ChatLink> =
                    known.links.iter().filter(|link| link.source != LinkSource::Quote).collect();
                let certain = Persons::new(without_quotes, &known.owner).aliases();
                let all = Persons::new(&known.links, &known.owner).aliases();
                for other in together(&certain, &ids) {
                    ids.entry(other).or_insert("events or you say so");
                }
                guesses.extend(together(&all, &ids));
            }
            guesses.retain(|id| !ids.contains_key(id));
            if include_guesses {
                ids.extend(std::mem::take(&mut guesses).into_iter().map(|id| (id, "a quote connects it")));
            }
            if before == (ids.len(), guesses.len()) {
                return Ok(Self { instance_id, ids, guesses });
            }
        }
    }

    /// Returns the code that confirms the erasure of just this person.
    pub fn code(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.instance_id.as_ref().map_or("*", InstanceId::as_str));
        for id in self.ids.keys() {
            hash.update([0]);
            hash.update(id);
        }
        hex::encode(&hash.finalize()[..CODE_BYTES])
    }

    /// Counts what would go, by the same rules by which it goes.
    pub async fn rehearse(&self, store: &dyn Store) -> Result<ErasureRehearsal, EraseError> {
        let key = MarkKey { id: String::new(), key: vec![0; 32] };
        let scopes = match &self.instance_id {
            None => vec![None],
            Some(instance) => vec![Some(instance.clone()), Some(InstanceId::unstated())],
        };
        let marks = self.ids.keys().flat_map(|id| scopes.iter().map(|scope| key.person(scope.as_ref(), id)));
        let known: BTreeMap<Mark, Option<Timestamp>> = marks.map(|mark| (mark, None)).collect();
        let keys = [key];
        let (latest, mut from) = (store.latest().await?.seq, 0);
        let (mut rehearsal, mut messages) = (ErasureRehearsal::default(), BTreeSet::new());
        while from < latest {
            let scan = ErasureScan {
                instance_id: self.instance_id.clone(),
                after: from,
                until: latest.min(from + SPAN),
                ids: self.ids.keys().cloned().collect(),
                limit: TOGETHER,
            };
            let (suspects, reached) = store.suspects(&scan).await?;
            from = reached;
            for event in suspects.into_iter().map(store::SuspectedEvent::into_event) {
                let traces = EventTraces::of(&event);
                if EventMarks::of(&event, &traces, &keys).verdict(&known, true).is_some() {
                    rehearsal.count(&event, &traces);
                    messages.extend(traces.message(&event));
                }
            }
        }
        rehearsal.messages = messages.len() as u64;
        rehearsal.named_by_others = self.named_by_others(store).await?;
        Ok(rehearsal)
    }

    /// Finds messages of others with a number of the person in their texts.
    async fn named_by_others(&self, store: &dyn Store) -> Result<Vec<(String, String)>, StoreError> {
        let mut named = BTreeSet::new();
        for number in self.ids.keys().filter_map(|id| chat_id::contact(id)) {
            let Ok(query) = SearchQuery::parse(number) else { continue };
            let filter = MessageFilter { search: Some(query), ..MessageFilter::default() };
            let paging = Paging { order: SortOrder::NewestFirst, limit: SHOWN, cursor: None, since: None, until: None };
            let found = store.list_messages(&Scope::All, &filter, &paging).await?;
            let others = found.rows.into_iter().filter(|it| {
                let author = it.fields.group_sender.as_ref().or(it.fields.from_id.as_ref());
                ![author, it.fields.chat_id.as_ref()].into_iter().flatten().any(|id| self.ids.contains_key(id))
            });
            named.extend(others.map(|it| (it.instance_id.to_string(), it.id)));
        }
        Ok(named.into_iter().collect())
    }
}

impl ErasureRehearsal {
    fn count(&mut self, event: &Event, traces: &EventTraces) {
        self.events += 1;
        match (&event.interpretation.effect, event.interpretation.state) {
            (Effect::Reaction(_), _) => self.reactions += 1,
            (Effect::Ack(_), _) => self.acks += 1,
            (_, EventState::Ignored | EventState::Quarantined) => self.unusable += 1,
            _ => {}
        }
        let at = traces.sent_at;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
    }
}

/// Returns the ids that are in one conversation with one of these.
fn together(aliases: &BTreeMap<String, String>, ids: &BTreeMap<String, &'static str>) -> Vec<String> {
    let chats: BTreeSet<&str> = ids.keys().map(|id| aliases.get(id).map_or(id.as_str(), String::as_str)).collect();
    let others = aliases.iter().filter(|(_, chat)| chats.contains(chat.as_str())).map(|(alias, _)| alias.clone());
    others.chain(chats.iter().map(|chat| (*chat).to_owned())).filter(|id| !ids.contains_key(id)).collect()
}
