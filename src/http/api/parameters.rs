//! Query parameters. A route takes those that it documents and no others, each at most once. A value that cannot be read
//! is refused with the name of its parameter.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::form_urlencoded;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use crate::http::problem::Problem;
use domain::chat::chat_id;
use domain::chat::chat_kind::{ChatKind, ChatKinds};
use domain::instance::InstanceId;

/// The parameters of a route, for handlers to take as an argument.
pub struct Query<P>(pub P);

impl<P: QueryParameters> FromRequest for Query<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request).map(Query))
    }
}

/// Parameters that a query can be read into. Every struct that derives `Deserialize` and `IntoParams` is one; its fields
/// are optional, and their types are read by the functions below (`#[serde(deserialize_with = "flag")]`).
pub trait QueryParameters: Sized {
    fn names() -> Vec<String>;

    /// Reads the parameters from values that have these names only.
    ///
    /// # Errors
    /// A value that cannot be read.
    fn read(values: &BTreeMap<String, Value>) -> Result<Self, Problem>;
}

impl<P: IntoParams + DeserializeOwned> QueryParameters for P {
    fn names() -> Vec<String> {
        P::into_params(|| Some(ParameterIn::Query)).into_iter().map(|parameter| parameter.name).collect()
    }

    fn read(values: &BTreeMap<String, Value>) -> Result<Self, Problem> {
        // A value is read as soon as it is taken from the iterator, so an error is about the last one.
        let last = Cell::new("");
        let values = values.iter().inspect(|(name, _)| last.set(name));
        let values = values.map(|(name, value)| (name.as_str(), value.clone()));
        P::deserialize(MapDeserializer::new(values)).map_err(|error: serde_json::Error| invalid(last.get(), error))
    }
}

/// The parameters of two structs together.
pub struct Both<A, B>(pub A, pub B);

impl<A: QueryParameters, B: QueryParameters> QueryParameters for Both<A, B> {
    fn names() -> Vec<String> {
        [A::names(), B::names()].concat()
    }

    fn read(values: &BTreeMap<String, Value>) -> Result<Self, Problem> {
        Ok(Self(A::read(values)?, B::read(values)?))
    }
}

/// A route without parameters.
#[derive(Deserialize, IntoParams)]
pub struct NoParameters {}

/// Reads the parameters of a request.
///
/// # Errors
/// A parameter that the route does not have, one that is given twice, or one whose value cannot be read.
pub fn read<P: QueryParameters>(request: &HttpRequest) -> Result<P, Problem> {
    let known = P::names();
    let mut values = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        if !known.iter().any(|known| *known == name) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Problem::UnknownParameter { name: name.into_owned(), known });
        }
        // No column holds a NUL, and PostgreSQL refuses a query with one. With the replacement nothing is found.
        let value = value.replace('\0', "\u{FFFD}");
        if values.insert(name.clone().into_owned(), Value::String(value)).is_some() {
            return Err(invalid(&name, "it is given twice"));
        }
    }
    P::read(&values)
}

pub fn invalid(name: &str, detail: impl Display) -> Problem {
    Problem::InvalidParameter { name: name.to_owned(), detail: detail.to_string() }
}

/// Reads a value with `parse`.
pub fn parsed<'de, D: Deserializer<'de>, T, E: Display>(
    value: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, D::Error> {
    parse(&String::deserialize(value)?).map(Some).map_err(D::Error::custom)
}

/// Reads text that is compared as it is. Empty text counts as not given, because a form sends it for an empty field.
pub fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(value)?).filter(|text| !text.is_empty()))
}

/// Reads the id of a chat or a person, in any of its forms.
pub fn chat<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(text(value)?.map(chat_id::canonical))
}

/// Reads the id of an instance. Text that cannot be one is an id that does not exist.
pub fn instance<'de, D: Deserializer<'de>>(value: D) -> Result<Option<InstanceId>, D::Error> {
    Ok(text(value)?.map(|id| InstanceId::from_store(&id)))
}

/// Reads the elements of a list with commas between them.
pub fn list<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<String>>, D::Error> {
    let text = String::deserialize(value)?;
    let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
    Ok(Some(elements.map(str::to_owned).collect()))
}

/// Reads kinds of chats with commas between them.
pub fn chat_kinds<'de, D: Deserializer<'de>>(value: D) -> Result<Option<ChatKinds>, D::Error> {
    parsed(value, ChatKinds::parse)
}

/// Returns those of the kinds that are groups, or that are none. Without `is_group`, they are all.
pub fn groups_or_others(kinds: &ChatKinds, is_group: Option<bool>) -> ChatKinds {
    kinds.that(|kind| is_group.is_none_or(|is_group| is_group == (kind == ChatKind::Group)))
}

pub fn flag<'de, D: Deserializer<'de>>(value: D) -> Result<Option<bool>, D::Error> {
    parsed(value, |text| match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true or false"),
    })
}

/// Reads the digits of a phone number as people write it.
pub fn phone_number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    parsed(value, |text| {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_number = !digits.is_empty() && text.chars().all(|c| c.is_ascii_digit() || " +-().".contains(c));
        if is_number { Ok(digits) } else { Err("expected a phone number, such as 573001112233 or +57 300 111 2233") }
    })
}
