//! The id of a conversation, from all evidence about a person's ids and from what the owner says.
//!
//! A `@lid` belongs to one number: that of the strongest source, and then of the lowest number in the ledger. A conversation
//! has the id of a number before that of a `@lid`, and of several numbers that of the one whose first message is the
//! earliest in the ledger. Names never count.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::evidence::{ChatLink, LinkSource};
use crate::chat::chat_id;
use crate::instance::InstanceId;

/// A word of the owner about two ids: a row of `chat_links_owner`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerLink {
    pub instance_id: InstanceId,
    pub a: String,
    pub b: String,
    /// False if the two are not the same person, whatever the evidence says.
    pub linked: bool,
    pub seq: i64,
}

impl OwnerLink {
    fn pair(&self) -> [&str; 2] {
        let (a, b) = (self.a.as_str(), self.b.as_str());
        if a <= b { [a, b] } else { [b, a] }
    }
}

/// The evidence about persons of an instance. With the links of only some of them, it is right about those whose links
/// are all there, and those of all [neighbours](Self::neighbours) too.
#[derive(Default)]
pub struct Persons<'l> {
    /// The pairs that any evidence names, whether it counts or not.
    pairs: BTreeSet<[&'l str; 2]>,
    /// The last word of the owner about each pair.
    owner: BTreeMap<[&'l str; 2], &'l OwnerLink>,
    /// The numbers of each `@lid`, the strongest first.
    numbers: BTreeMap<&'l str, BTreeSet<(Strength, i64, &'l str)>>,
    /// The numbers with the same shorter form.
    forms: BTreeMap<&'l str, BTreeSet<&'l str>>,
    /// The first message in the chat of each number.
    first: BTreeMap<&'l str, i64>,
}

/// The strength of a link, the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Owner,
    Evidence(LinkSource),
}

impl<'l> Persons<'l> {
    pub fn new(links: impl IntoIterator<Item = &'l ChatLink>, owner: impl IntoIterator<Item = &'l OwnerLink>) -> Self {
        let (mut persons, mut ambiguous) = (Self::default(), BTreeSet::new());
        for word in owner {
            let newest = persons.owner.entry(word.pair()).or_insert(word);
            if word.seq > newest.seq {
                *newest = word;
            }
        }
        let mut evidence = vec![];
        for link in links {
            let (a, b) = (link.a.as_str(), link.b.as_str());
            match link.source {
                LinkSource::FirstMessage => keep_lowest(&mut persons.first, a, link.seq),
                LinkSource::Number => _ = persons.forms.entry(b).or_default().insert(a),
                LinkSource::SameMessage if a == b => _ = ambiguous.insert(a),
                LinkSource::Stated | LinkSource::SameMessage | LinkSource::Quote => evidence.push(link),
            }
        }
        persons.pairs.extend(evidence.iter().map(|link| [link.a.as_str(), link.b.as_str()]));
        for ChatLink { a, b, source, seq, .. } in evidence {
            let counts = *source != LinkSource::SameMessage || !ambiguous.contains(a.as_str());
            if counts && !persons.are_unlinked(a, b) {
                persons.numbers.entry(a).or_default().insert((Strength::Evidence(*source), *seq, b));
            }
        }
        let linked: Vec<&OwnerLink> = persons.owner.values().copied().filter(|word| word.linked).collect();
        for OwnerLink { a, b, seq, .. } in linked {
            let (lid, number) = if chat_id::is_lid(a) { (a, b) } else { (b, a) };
            if chat_id::is_lid(lid) && !chat_id::is_lid(number) {
                persons.numbers.entry(lid).or_default().insert((Strength::Owner, *seq, number));
            }
        }
        persons
    }

    fn are_unlinked(&self, one: &str, other: &str) -> bool {
        let pair = if one <= other { [one, other] } else { [other, one] };
        self.owner.get(&pair).is_some_and(|word| !word.linked)
    }

    /// Returns the number of each `@lid` that has one.
    fn number_of(&self, lid: &str) -> Option<&'l str> {
        Some(self.numbers.get(lid)?.first()?.2)
    }

    /// Returns the numbers of each `@lid` that has several.
    pub fn contradictions(&self) -> BTreeMap<&'l str, BTreeSet<&'l str>> {
        let numbers = self.numbers.iter().map(|(lid, numbers)| (*lid, numbers.iter().map(|it| it.2).collect()));
        numbers.filter(|(_, numbers): &(_, BTreeSet<_>)| numbers.len() > 1).collect()
    }

    /// Returns the id of the conversation for each id that is not that id itself.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        let mut groups = Groups::default();
        self.numbers.keys().filter_map(|lid| Some([*lid, self.number_of(lid)?])).for_each(|pair| groups.join(pair));
        let same_kind = |word: &&&OwnerLink| word.linked && chat_id::is_lid(&word.a) == chat_id::is_lid(&word.b);
        self.owner.values().filter(same_kind).for_each(|word| groups.join(word.pair()));
        for numbers in self.forms.values() {
            let pairs = numbers.iter().flat_map(|a| numbers.range(*a..).skip(1).map(|b| [*a, *b]));
            pairs.filter(|[a, b]| !self.are_unlinked(a, b)).for_each(|pair| groups.join(pair));
        }
        let mut aliases = BTreeMap::new();
        for ids in groups.sets() {
            let Some(chat) = ids.iter().min_by_key(|id| self.preference(id)).copied() else { continue };
            let others = ids.into_iter().filter(|id| *id != chat);
            aliases.extend(others.map(|id| (id.to_owned(), chat.to_owned())));
        }
        aliases
    }

    /// Returns the place of an id among those of its person: the conversation has the first one.
    fn preference<'i>(&self, id: &'i str) -> (bool, i64, &'i str) {
        (chat_id::is_lid(id), self.first.get(id).copied().unwrap_or(i64::MAX), id)
    }

    /// Returns the ids that anything names together with these. Once there are no more, the links of all of them decide about
    /// each of them.
    pub fn neighbours(&self, ids: &BTreeSet<String>) -> BTreeSet<String> {
        let known = |id: &&str| ids.contains(*id);
        let pairs = self.pairs.iter().chain(self.owner.keys()).filter(|pair| pair.iter().any(&known)).flatten();
        let forms = self.forms.values().filter(|numbers| numbers.iter().any(&known)).flatten();
        pairs.chain(forms).filter(|id| !known(id)).map(|id| (*id).to_owned()).collect()
    }
}

fn keep_lowest<'l>(lowest: &mut BTreeMap<&'l str, i64>, id: &'l str, seq: i64) {
    let known = lowest.entry(id).or_insert(seq);
    *known = seq.min(*known);
}

/// Sets of ids that are joined pair by pair.
#[derive(Default)]
struct Groups<'l> {
    /// The set of each id.
    set_of: BTreeMap<&'l str, usize>,
    sets: Vec<BTreeSet<&'l str>>,
}

impl<'l> Groups<'l> {
    fn join(&mut self, pair: [&'l str; 2]) {
        let [one, other] = pair.map(|id| {
            *self.set_of.entry(id).or_insert_with(|| {
                self.sets.push(BTreeSet::from([id]));
                self.sets.len() - 1
            })
        });
        if one == other {
            return;
        }
        let (from, into) = if self.sets[one].len() < self.sets[other].len() { (one, other) } else { (other, one) };
        let moved = std::mem::take(&mut self.sets[from]);
        moved.iter().for_each(|id| _ = self.set_of.insert(id, into));
        self.sets[into].extend(moved);
    }

    fn sets(self) -> impl Iterator<Item = BTreeSet<&'l str>> {
        self.sets.into_iter().filter(|ids| !ids.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANA: &str = "573001112233@c.us";
    const EVA: &str = "573004445566@c.us";
    const LID: &str = "1763@lid";
    const OTHER_LID: &str = "1764@lid";
    const LONG: &str = "5215512345678@c.us";
    const SHORT: &str = "525512345678@c.us";

    fn link(a: &str, b: &str, source: LinkSource, seq: i64) -> ChatLink {
        ChatLink { instance_id: InstanceId::unstated(), a: a.to_owned(), b: b.to_owned(), source, seq }
    }

    fn word(a: &str, b: &str, linked: bool, seq: i64) -> OwnerLink {
        OwnerLink { instance_id: InstanceId::unstated(), a: a.to_owned(), b: b.to_owned(), linked, seq }
    }

    fn aliases(links: &[ChatLink], owner: &[OwnerLink]) -> Vec<String> {
        let aliases = Persons::new(links, owner).aliases();
        aliases.into_iter().map(|(alias, chat)| format!("{alias} {chat}")).collect()
    }

    fn number(id: &str, seq: i64) -> ChatLink {
        link(id, SHORT, LinkSource::Number, seq)
    }

    fn first(id: &str, seq: i64) -> ChatLink {
        link(id, id, LinkSource::FirstMessage, seq)
    }

    #[test]
    fn a_lid_belongs_to_the_number_of_the_strongest_source_and_then_to_the_earliest() {
        use LinkSource::{Quote, SameMessage, Stated};
        for (links, chat) in [
            (vec![link(LID, ANA, Quote, 9)], ANA),
            (vec![link(LID, ANA, Quote, 1), link(LID, EVA, SameMessage, 2)], EVA),
            (vec![link(LID, ANA, SameMessage, 1), link(LID, EVA, Stated, 2)], EVA),
            (vec![link(LID, ANA, Stated, 2), link(LID, EVA, Stated, 1)], EVA),
            (vec![link(LID, ANA, Stated, 2), link(LID, ANA, Quote, 1), first(EVA, 1)], ANA),
        ] {
            assert_eq!(aliases(&links, &[]), [format!("{LID} {chat}")], "{links:?}");
        }
    }

    #[test]
    fn nothing_follows_from_a_message_that_names_several_persons() {
        let mark = link(LID, LID, LinkSource::SameMessage, 3);
        let pair = link(LID, ANA, LinkSource::SameMessage, 1);
        assert_eq!(aliases(&[pair.clone(), mark.clone()], &[]), Vec::<String>::new());
        let quote = link(LID, EVA, LinkSource::Quote, 9);
        assert_eq!(aliases(&[pair, mark, quote], &[]), [format!("{LID} {EVA}")]);
    }

    #[test]
    fn a_conversation_has_the_number_whose_first_message_is_the_earliest_in_the_ledger() {
        let both = [number(LONG, 5), number(SHORT, 6)];
        let with = |rest: &[ChatLink]| aliases(&[&both, rest].concat(), &[]);
        assert_eq!(with(&[first(LONG, 5), first(SHORT, 6)]), [format!("{SHORT} {LONG}")]);
        assert_eq!(with(&[first(LONG, 8), first(SHORT, 6)]), [format!("{LONG} {SHORT}")]);
        assert_eq!(with(&[first(SHORT, 6)]), [format!("{LONG} {SHORT}")]);
        let lid = [first(LONG, 7), link(LID, SHORT, LinkSource::Quote, 9)];
        assert_eq!(with(&lid), [format!("{LID} {LONG}"), format!("{SHORT} {LONG}")]);
        assert_eq!(aliases(&[number(LONG, 5)], &[]), Vec::<String>::new(), "nobody named the other form");
    }

    #[test]
    fn the_owner_has_the_last_word() {
        let stated = [link(LID, ANA, LinkSource::Stated, 1), link(LID, EVA, LinkSource::Quote, 2)];
        assert_eq!(aliases(&stated, &[word(LID, EVA, true, 3)]), [format!("{LID} {EVA}")]);
        assert_eq!(aliases(&stated, &[word(EVA, LID, true, 3)]), [format!("{LID} {EVA}")]);
        assert_eq!(aliases(&stated, &[word(ANA, LID, false, 3)]), [format!("{LID} {EVA}")]);
        let changed = [word(LID, EVA, true, 3), word(EVA, LID, false, 4)];
        assert_eq!(aliases(&stated, &changed), [format!("{LID} {ANA}")]);
        let both = [number(LONG, 5), number(SHORT, 6)];
        assert_eq!(aliases(&both, &[word(SHORT, LONG, false, 7)]), Vec::<String>::new());
        let lids = [word(OTHER_LID, LID, true, 1)];
        assert_eq!(aliases(&[], &lids), [format!("{OTHER_LID} {LID}")]);
        assert_eq!(aliases(&stated, &lids), [format!("{LID} {ANA}"), format!("{OTHER_LID} {ANA}")]);
    }

    #[test]
    fn chains_and_cycles_are_one_conversation_without_chains() {
        let owner = [word(ANA, EVA, true, 1), word(EVA, LONG, true, 2), word(LONG, ANA, true, 3)];
        let seqs = [first(EVA, 1), first(ANA, 2), first(LONG, 3)];
        let expected = [format!("{LONG} {EVA}"), format!("{ANA} {EVA}")];
        let found = aliases(&seqs, &owner);
        assert_eq!(BTreeSet::from_iter(&found), BTreeSet::from_iter(&expected));
    }

    #[test]
    fn a_lid_with_two_numbers_is_a_contradiction() {
        let links = [link(LID, ANA, LinkSource::Stated, 1), link(LID, EVA, LinkSource::Quote, 2)];
        let persons = Persons::new(&links, &[]);
        assert_eq!(persons.contradictions(), BTreeMap::from([(LID, BTreeSet::from([ANA, EVA]))]));
        assert!(Persons::new(&links[..1], &[]).contradictions().is_empty());
    }

    fn links() -> impl Strategy<Value = Vec<ChatLink>> {
        let id = |ids: &'static [&'static str]| prop::sample::select(ids);
        let source = prop::sample::select(&[LinkSource::Stated, LinkSource::SameMessage, LinkSource::Quote][..]);
        let lid = (id(&[LID, OTHER_LID]), id(&[ANA, EVA, LONG, SHORT, LID]), source, 0..9_i64).prop_map(
            |(a, b, source, seq)| match chat_id::is_lid(b) {
                true => link(a, a, LinkSource::SameMessage, seq),
                false => link(a, b, source, seq),
            },
        );
        let of_number = (id(&[ANA, EVA, LONG, SHORT]), any::<bool>(), 0..9_i64).prop_map(|(id, is_first, seq)| {
            if is_first || ![LONG, SHORT].contains(&id) { first(id, seq) } else { number(id, seq) }
        });
        prop::collection::vec(prop_oneof![lid, of_number], 0..12)
    }

    fn words() -> impl Strategy<Value = Vec<OwnerLink>> {
        let id = || prop::sample::select(&[ANA, EVA, LONG, SHORT, LID, OTHER_LID][..]);
        let words = prop::collection::vec((id(), id(), any::<bool>()), 0..5);
        words.prop_map(|words| {
            let words = words.into_iter().filter(|(a, b, _)| a != b).zip(1..);
            words.map(|((a, b, linked), seq)| word(a, b, linked, seq)).collect()
        })
    }

    proptest! {
        #[test]
        fn aliases_do_not_depend_on_the_order_and_are_flat(links in links(), words in words()) {
            let aliases = Persons::new(&links, &words).aliases();
            let (mut backwards, mut newest) = (links.clone(), words.clone());
            backwards.reverse();
            newest.reverse();
            prop_assert_eq!(&Persons::new(&backwards, &newest).aliases(), &aliases);
            for (alias, chat) in &aliases {
                prop_assert_ne!(alias, chat);
                prop_assert!(!aliases.contains_key(chat), "{chat} is an alias itself");
            }
        }

        #[test]
        fn the_links_of_an_id_and_of_its_neighbours_are_enough(links in links(), words in words(), at in 0..6_usize) {
            let all = Persons::new(&links, &words).aliases();
            let id = [ANA, EVA, LONG, SHORT, LID, OTHER_LID][at];
            let mut ids = BTreeSet::from([id.to_owned()]);
            let known = loop {
                let forms: BTreeSet<&str> = links
                    .iter()
                    .filter(|it| it.source == LinkSource::Number && ids.contains(&it.a))
                    .map(|it| it.b.as_str())
                    .collect();
                let is_form = |it: &ChatLink| it.source == LinkSource::Number && forms.contains(it.b.as_str());
                let known: Vec<&ChatLink> = links.iter().filter(|it| ids.contains(&it.a) || ids.contains(&it.b) || is_form(it)).collect();
                let more = Persons::new(known.iter().copied(), &words).neighbours(&ids);
                if more.is_empty() {
                    break known;
                }
                ids.extend(more);
            };
            let found = Persons::new(known, &words).aliases();
            prop_assert_eq!(found.get(id), all.get(id));
        }
    }
}
