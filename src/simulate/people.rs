//! The people who write to a shop, and their messages.

use super::seeded_rng::SeededRng;

pub(super) const NAMES: [&str; 16] = [
    "Juan Pérez",
    "María Gómez",
    "Andrés Rodríguez",
    "Laura Martínez",
    "Camila Torres",
    "Sebastián Ruiz",
    "Valentina Díaz",
    "Diego Herrera",
    "Sofía Castro",
    "Mateo Vargas",
    "Daniela Ríos",
    "Felipe Muñoz",
    "Natalia Peña",
    "Óscar Niño",
    "Lucía Ángel",
    "Íngrid Suárez",
];

const ASKED: [&str; 18] = [
    "Hola, ¿tienen menú?",
    "¿Abren hoy?",
    "¿Hasta qué hora atienden?",
    "Buenas, ¿hacen domicilios?",
    "¿Cuánto vale el envío?",
    "Quiero dos almuerzos por favor",
    "¿Reciben Nequi?",
    "¿Me confirma el pedido?",
    "Gracias 🙏",
    "Listo, quedo atento",
    "¿Tienen en talla M?",
    "¿Dónde están ubicados?",
    "Me llegó incompleto 😕",
    "¿Puedo cambiarlo por otro color?",
    "Perfecto, muchas gracias",
    "¿Cuándo llega?",
    "Buenos días",
    "¿Tienen algo sin gluten?",
];

const ANSWERED: [&str; 14] = [
    "¡Hola! Te comparto el menú 👇",
    "Sí, abrimos hasta las 8",
    "Claro que sí, ¿a qué dirección?",
    "El envío vale $6.000",
    "Tu pedido ya va en camino 🛵",
    "Con mucho gusto",
    "Recibimos Nequi, Daviplata y efectivo",
    "Te confirmo en un momento",
    "Lo sentimos mucho, ya lo corregimos",
    "Sí, tenemos tallas S, M y L",
    "Estamos en la Calle 10 # 5-51",
    "¡Gracias a ti!",
    "Queda agendado para mañana a las 10",
    "Por el momento está agotado",
];

pub(super) const EMOJI: [&str; 5] = ["👍", "❤️", "😂", "🙏", "😮"];

/// A chat of a shop with a person or a group.
#[derive(Clone, Debug)]
pub(super) struct SimulatedChat {
    pub(super) id: String,
    /// The person who writes, in a group one of its members.
    pub(super) person: String,
    pub(super) name: &'static str,
    pub(super) is_group: bool,
    /// The number of a person who writes under a `@lid`, if the event states it.
    pub(super) stated_number: Option<String>,
}

/// One in so many chats is a group.
const GROUPS: u64 = 10;
/// One in so many persons writes under a `@lid` at times, and one in so many of their messages states the number.
const HIDDEN: u64 = 12;
const STATED: u64 = 4;
const MEMBERS: u64 = 6;

impl SimulatedChat {
    /// Picks a chat of an instance at random, with a person who writes in it.
    pub(super) fn pick(instance: usize, chats: u64, rng: &mut SeededRng) -> Self {
        const FLATTENED: f64 = 4.0;
        let nth = rng.zipf(chats, FLATTENED);
        let is_group = nth % GROUPS == GROUPS - 1;
        let member = if is_group { 1 + rng.below(MEMBERS) } else { 0 };
        let number = 3_000_000_000 + instance as u64 * 1_000_000 + nth * 10 + member;
        let person = format!("57{number}@c.us");
        let id = if is_group { format!("120363{number}@g.us") } else { person.clone() };
        let name = NAMES[(number % NAMES.len() as u64) as usize];
        if !is_group && nth.is_multiple_of(HIDDEN) && rng.below(2) == 0 {
            let stated_number = (rng.below(STATED) == 0).then_some(person);
            let hidden = format!("17{number}@lid");
            return Self { id: hidden.clone(), person: hidden, name, is_group, stated_number };
        }
        Self { id, person, name, is_group, stated_number: None }
    }
}

/// Returns the number of the shop.
pub(super) fn own_number(instance: usize) -> String {
    format!("57601{instance:07}@c.us")
}

pub(super) fn question(rng: &mut SeededRng) -> &'static str {
    rng.pick::<&str>(&ASKED)
}

pub(super) fn answer(rng: &mut SeededRng) -> &'static str {
    rng.pick::<&str>(&ANSWERED)
}
