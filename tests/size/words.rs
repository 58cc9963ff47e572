//! The texts of messages: a few words are very frequent, and most are rare.

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

/// The beginning of many conversations.
pub const PHRASE: &str = "buenos días";
/// Words of which each is in about one message in a hundred, and which are never together in one.
pub const NEVER_TOGETHER: [&str; 2] = ["factura", "pasaporte"];
/// A word in about ten messages of all.
pub const RARE: &str = "ornitorrinco";

/// Returns the words of message number `number` of `all`; `opening` if it begins a conversation.
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

/// Returns the word of this rank. Words beyond the common ones are made of syllables.
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
