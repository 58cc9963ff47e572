//! The chats, their members, and their progress.

use std::sync::Arc;

use buzon::domain::chat::chat_kind::ChatKind;
use buzon::domain::instance::InstanceId;
use buzon::domain::time::timestamp::Timestamp;

use super::Scale;
use buzon::simulate::SeededRng;

const FIRST_NAMES: [&str; 16] = [
    "Juan",
    "María",
    "José",
    "Lucía",
    "Andrés",
    "Sofía",
    "Martín",
    "Inés",
    "Camilo",
    "Valentina",
    "Óscar",
    "Paula",
    "Iván",
    "Daniela",
    "Raúl",
    "Ana",
];
const LAST_NAMES: [&str; 16] = [
    "Pérez",
    "Gómez",
    "Rodríguez",
    "López",
    "Martínez",
    "Muñoz",
    "Díaz",
    "Peña",
    "Suárez",
    "Ibáñez",
    "Castro",
    "Ortiz",
    "Núñez",
    "Vega",
    "Rojas",
    "Marín",
];
/// The number of people in a group.
const GROUP_SIZE: u64 = 20;

/// The number of chats in a thousand that are groups.
const GROUPS: u64 = 100;
const WITHOUT_NUMBER: u64 = 30;
const WITHOUT_NAME: u64 = 30;

/// A message's time and id.
pub type Mark = (Timestamp, Arc<str>);

/// A chat, and its state so far.
pub struct Chat {
    pub instance_id: InstanceId,
    pub id: Arc<str>,
    /// The number of the instance itself.
    pub own: Arc<str>,
    pub is_group: bool,
    pub name: Option<Arc<str>>,
    pub messages: i64,
    pub last: Option<Mark>,
    pub last_incoming: Option<Mark>,
    pub last_outgoing: Option<Mark>,
    pub waiting: Option<Mark>,
}

impl Chat {
    pub fn new(place: u64, scale: &Scale) -> Self {
        let mut rng = SeededRng::new(place.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let instance = rng.zipf(scale.instances, 1.0);
        // The first chat has the most messages, and is with one person.
        let (is_group, is_lid) = (place > 0 && rng.in_thousand(GROUPS), place > 0 && rng.in_thousand(WITHOUT_NUMBER));
        let id = match (is_group, is_lid) {
            (true, _) => format!("120363{:012}@g.us", place * 7_919),
            (false, true) => format!("9{:014}@lid", place * 7_919),
            (false, false) => person(place),
        };
        let name = (!is_group && !rng.in_thousand(WITHOUT_NAME)).then(|| name(&mut rng).into());
        Self {
            instance_id: InstanceId::new(&format!("{}", 1_001 + instance)).expect("it is an instance id"),
            id: id.into(),
            own: format!("57300900{:04}@c.us", instance).into(),
            is_group,
            name,
            messages: 0,
            last: None,
            last_incoming: None,
            last_outgoing: None,
            waiting: None,
        }
    }

    /// Returns a member of the group, with a name.
    pub fn member(&self, rng: &mut SeededRng) -> (String, String) {
        let member = rng.below(GROUP_SIZE);
        let place = self.id.bytes().fold(member, |sum, byte| sum * 31 % 1_000_000 + u64::from(byte));
        (person(900_000 + place), name(&mut SeededRng::new(place)))
    }

    /// Adds a message that is later than all before, and returns the first message that it answers and the time of the
    /// last one.
    pub fn take(&mut self, from_me: bool, mark: &Mark) -> Option<(Mark, Timestamp)> {
        self.messages += 1;
        self.last = Some(mark.clone());
        if from_me {
            self.last_outgoing = Some(mark.clone());
            return Some((self.waiting.take()?, self.last_incoming.as_ref()?.0));
        }
        self.last_incoming = Some(mark.clone());
        if ChatKind::of(&self.id).can_wait() {
            self.waiting.get_or_insert_with(|| mark.clone());
        }
        None
    }
}

fn person(place: u64) -> String {
    format!("{}@c.us", 573_000_000_000 + place * 17)
}

fn name(rng: &mut SeededRng) -> String {
    format!("{} {}", rng.pick(&FIRST_NAMES), rng.pick(&LAST_NAMES))
}
