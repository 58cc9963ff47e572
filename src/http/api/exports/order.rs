//! The lists that can be exported, with the filters of the lists.

use std::collections::BTreeMap;

use domain::time::zone::Zone;
use serde_json::Value;

use super::super::acks::AckParameters;
use super::super::chats::ChatParameters;
use super::super::events::EventParameters;
use super::super::media::MediaParameters;
use super::super::messages::MessageParameters;
use super::super::pages::PageParameters;
use super::super::parameters::{QueryParameters, invalid};
use super::super::reactions::ReactionParameters;
use crate::export::lists::{ExportQuery, ExportRange};
use crate::http::problem::Problem;
use domain::chat::chat_kind::ChatKinds;
use store::MessageFilter;

/// The names of the lists that can be exported.
pub const LISTS: [&str; 6] = ["messages", "chats", "reactions", "acks", "media", "events"];

/// Returns the query for a list and its filter: the parameters of the list in the API, without those of a page but `since`
/// and `until`. Chats of all kinds are exported unless the filter names some.
///
/// # Errors
/// A list or a parameter that there is not, or a value that cannot be read.
pub fn query(
    list: &str,
    mut values: BTreeMap<String, String>,
    zone: &Zone,
) -> Result<(ExportQuery, ExportRange), Problem> {
    let (since, until) = (values.remove("since"), values.remove("until"));
    let paging = PageParameters { since, until, ..PageParameters::default() }.paging::<i64>("", zone)?;
    let range = ExportRange { since: paging.since, until: paging.until };
    let query = match list {
        "messages" => ExportQuery::Messages(MessageFilter::try_from(read::<MessageParameters>(values, &[])?)?),
        "chats" => {
            values.entry("kind".to_owned()).or_insert_with(|| ChatKinds::all().to_string());
            ExportQuery::Chats(read::<ChatParameters>(values, &[])?.into())
        }
        "reactions" => ExportQuery::Reactions(read::<ReactionParameters>(values, &[])?.into()),
        "acks" => ExportQuery::Acks(read::<AckParameters>(values, &[])?.into()),
        "media" => ExportQuery::Media(read::<MediaParameters>(values, &[])?.into()),
        // The feed is no list.
        "events" => ExportQuery::Events(read::<EventParameters>(values, &["after"])?.into()),
        _ => return Err(invalid("list", format!("expected one of {}", LISTS.join(", ")))),
    };
    Ok((query, range))
}

fn read<P: QueryParameters>(values: BTreeMap<String, String>, without: &[&str]) -> Result<P, Problem> {
    let known: Vec<String> = P::names().into_iter().filter(|name| !without.contains(&name.as_str())).collect();
    if let Some(name) = values.keys().find(|name| !known.contains(name)) {
        return Err(Problem::UnknownParameter { name: name.clone(), known: known.join(", ") + ", since, until" });
    }
    let values = values.into_iter().map(|(name, value)| (name, Value::String(value.replace('\0', "\u{FFFD}"))));
    P::read(&values.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_the_parameters_of_its_list_and_no_others() {
        let asked = |list: &str, name: &str, value: &str| {
            query(list, BTreeMap::from([(name.to_owned(), value.to_owned())]), &Zone::utc())
        };
        for (list, name, value) in [
            ("messages", "chat_id", "573001112233@c.us"),
            ("messages", "since", "2024-08-27"),
            ("chats", "unanswered", "true"),
            ("reactions", "from_number", "573001112233@c.us"),
            ("acks", "ack", "read"),
            ("media", "state", "stored"),
            ("events", "event_type", "message_received"),
        ] {
            assert!(asked(list, name, value).is_ok_and(|(query, _)| query.list() == list), "{list} {name}");
        }
        for (list, name, value) in [
            ("chats", "chatid", "1"),
            ("messages", "limit", "1"),
            ("events", "after", "beginning"),
            ("media", "state", "lost"),
            ("tokens", "since", "2024-08-27"),
            ("messages", "since", "yesterday"),
        ] {
            assert!(asked(list, name, value).is_err(), "{list} {name}");
        }
    }
}
