//! What people write: a few words very often, and most of them hardly ever.

use buzon::simulate::SeededRng;

const COMMON: [&str; 96] = [
    "de",
    "que",
    "la",
    "el",
    "no",
    "a",
    "y",
    "en",
    "es",
    "los",
    "un",
    "por",
    "con",
    "para",
    "una",
    "lo",
    "las",
    "me",
    "se",
    "ya",
    "sí",
    "mañana",
    "hola",
    "gracias",
    "pedido",
    "menú",
    "cómo",
    "está",
    "favor",
    "hoy",
    "más",
    "pero",
    "cuánto",
    "precio",
    "envío",
    "dirección",
    "casa",
    "día",
    "hora",
    "bien",
    "quiero",
    "tengo",
    "puedo",
    "buenas",
    "tardes",
    "noches",
    "señor",
    "señora",
    "número",
    "domicilio",
    "pago",
    "tarjeta",
    "efectivo",
    "transferencia",
    "listo",
    "perfecto",
    "claro",
    "entonces",
    "también",
    "aquí",
    "allí",
    "cuando",
    "donde",
    "porque",
    "después",
    "antes",
    "nuevo",
    "talla",
    "color",
    "azul",
    "rojo",
    "negro",
    "blanco",
    "grande",
    "pequeño",
    "foto",
    "imagen",
    "audio",
    "mensaje",
    "teléfono",
    "correo",
    "nombre",
    "cliente",
    "tienda",
    "abierto",
    "cerrado",
    "lunes",
    "martes",
    "miércoles",
    "jueves",
    "viernes",
    "sábado",
    "domingo",
    "semana",
    "mes",
    "año",
];
const VOCABULARY: u64 = 30_000;
const CONSONANTS: [&str; 14] = ["b", "c", "d", "f", "g", "l", "m", "n", "ñ", "p", "r", "s", "t", "ll"];
const VOWELS: [&str; 7] = ["a", "e", "i", "o", "u", "á", "ó"];

/// What many conversations begin with.
pub const PHRASE: &str = "buenos días";
/// Each in some of a hundred messages, and never both in one.
pub const NEVER_TOGETHER: [&str; 2] = ["factura", "pasaporte"];
/// In about ten messages of all.
pub const RARE: &str = "ornitorrinco";

/// The words of message number `number` of `all`; `opening` where it begins a conversation.
pub fn sentence(rng: &mut SeededRng, number: u64, all: u64, opening: bool) -> String {
    let mut words: Vec<String> = (0..3 + rng.below(10)).map(|_| word(rng.zipf(VOCABULARY, 0.0))).collect();
    if opening && rng.in_thousand(400) {
        words.insert(0, PHRASE.to_owned());
    }
    if rng.in_thousand(40) {
        words.push(NEVER_TOGETHER[(number % 2) as usize].to_owned());
    }
    if number.is_multiple_of((all / 10).max(1)) {
        words.push(RARE.to_owned());
    }
    words.join(" ")
}

/// The word of this rank. Those beyond the common ones are made of syllables.
fn word(rank: u64) -> String {
    if let Some(word) = COMMON.get(rank as usize) {
        return (*word).to_owned();
    }
    let (consonants, vowels) = (CONSONANTS.len() as u64, VOWELS.len() as u64);
    let (mut rest, mut word) = (rank, String::new());
    while rest > 0 || word.is_empty() {
        word += CONSONANTS[(rest % consonants) as usize];
        word += VOWELS[(rest / consonants % vowels) as usize];
        rest /= consonants * vowels;
    }
    word
}
