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
use super::super::parameters::QueryParameters;
use super::super::reactions::ReactionParameters;
use super::ExportedList;
use crate::export::lists::{ExportQuery, ExportRange};
use crate::http::problem::Problem;
use domain::chat::chat_kind::ChatKinds;
use store::MessageFilter;

/// Returns the query for a list and its filter: the parameters of the list in the API, without those of a page but `since`
/// and `until`. Chats of all kinds are exported unless the filter names some.
///
/// # Errors
/// A parameter that there is not, or a value that cannot be read.
pub fn query(
    list: ExportedList,
    mut values: BTreeMap<String, String>,
    zone: &Zone,
) -> Result<(ExportQuery, ExportRange), Problem> {
    let (since, until) = (values.remove("since"), values.remove("until"));
    let paging = PageParameters { since, until, ..PageParameters::default() }.paging::<i64>("", zone)?;
    let range = ExportRange { since: paging.since, until: paging.until };
    let query = match list {
        ExportedList::Messages => {
            ExportQuery::Messages(MessageFilter::try_from(read::<MessageParameters>(values, &[])?)?)
        }
        ExportedList::Chats => {
            values.entry("kind".to_owned()).or_insert_with(|| ChatKinds::all().to_string());
            ExportQuery::Chats(read::<ChatParameters>(values, &[])?.into())
        }
        ExportedList::Reactions => ExportQuery::Reactions(read::<ReactionParameters>(values, &[])?.into()),
        ExportedList::Acks => ExportQuery::Acks(read::<AckParameters>(values, &[])?.into()),
        ExportedList::Media => ExportQuery::Media(read::<MediaParameters>(values, &[])?.into()),
        // The feed is no list.
        ExportedList::Events => ExportQuery::Events(read::<EventParameters>(values, &["after"])?.into()),
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
        use ExportedList::{Acks, Chats, Events, Media, Messages, Reactions};
        let asked = |list, name: &str, value: &str| {
            query(list, BTreeMap::from([(name.to_owned(), value.to_owned())]), &Zone::utc())
        };
        for (list, name, value) in [
            (Messages, "chat_id", "573001112233@c.us"),
            (Messages, "since", "2024-08-27"),
            (Chats, "unanswered", "true"),
            (Reactions, "from_number", "573001112233@c.us"),
            (Acks, "ack", "read"),
            (Media, "state", "stored"),
            (Events, "event_type", "message_received"),
        ] {
            assert!(asked(list, name, value).is_ok(), "{name}");
        }
        for (list, name, value) in [
            (Chats, "chatid", "1"),
            (Messages, "limit", "1"),
            (Events, "after", "beginning"),
            (Media, "state", "lost"),
            (Messages, "since", "yesterday"),
        ] {
            assert!(asked(list, name, value).is_err(), "{name}");
        }
    }
}
