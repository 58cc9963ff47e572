//! The file of a person: everything about them and nothing of others, with a page that explains it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::ExportError;
use super::archive::Archive;
use super::conversation::{Look, write};
use super::explanation::{Explanation, InstancePart};
use super::media::WantedFiles;
use super::pages::{ExportQuery, ExportRange, each_message, walk};
use super::rows::{self, ExportValue};
use super::sink::{NdjsonSink, RowSink};
use super::transcript::{TranscriptHead, card_names};
use crate::blob::Blobs;
use domain::access::scope::Scope;
use domain::chat::person::redaction::redacted;
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;
use store::{MessageReport, Store};

/// An order to export everything about a person.
pub struct PersonExport {
    /// Any id of the person.
    pub id: String,
    /// Only this instance.
    pub instance: Option<InstanceId>,
    pub range: ExportRange,
    pub zone: Zone,
    pub now: Timestamp,
    /// The receivers of events, with their hosts.
    pub receivers: Vec<String>,
}

/// The result of the export of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonSummary {
    pub messages: u64,
    pub group_messages: u64,
    pub reactions: u64,
    pub missing_files: u64,
    /// Signs that the number was somebody else's before.
    pub doubts: Vec<String>,
}

impl PersonExport {
    /// Writes the file of the person.
    ///
    /// # Errors
    /// [`ExportError::Absent`] if nothing is known of the person.
    pub async fn run(&self, store: &dyn Store, blobs: &Blobs, path: &Path) -> Result<PersonSummary, ExportError> {
        let (mut archive, mut files) = (Archive::create(path)?, WantedFiles::default());
        let (mut summary, mut parts) = (PersonSummary::default(), vec![]);
        for instance in self.instances(store).await? {
            let part = self.instance_part(store, instance, parts.len() + 1, &mut archive, &mut files).await?;
            if part.messages + part.group_messages + part.reactions > 0 {
                summary.messages += part.messages;
                summary.group_messages += part.group_messages;
                summary.reactions += part.reactions;
                summary.doubts.extend(part.doubts(self.range.since.is_some()));
                parts.push(part);
            }
        }
        if parts.is_empty() {
            return Err(ExportError::Absent(format!("nothing is known of {}", self.id)));
        }
        self.write_rows(store, &parts, &mut archive).await?;
        summary.missing_files = files.copy(blobs, &mut archive).await?;
        archive.start("LEEME.txt", false)?;
        let explanation = Explanation {
            parts: &parts,
            summary: &summary,
            zone: &self.zone,
            now: self.now,
            receivers: &self.receivers,
        };
        archive.write_all(explanation.text().as_bytes())?;
        archive.finish()?;
        Ok(summary)
    }

    async fn instances(&self, store: &dyn Store) -> Result<Vec<InstanceId>, ExportError> {
        if let Some(instance) = &self.instance {
            return Ok(vec![instance.clone()]);
        }
        let known = store.list_instances(&Scope::All, self.now, self.now).await?;
        Ok(known.into_iter().map(|instance| instance.instance_id).collect())
    }

    /// Writes the conversation and the messages in groups of an instance, for people.
    async fn instance_part(
        &self,
        store: &dyn Store,
        instance: InstanceId,
        number: usize,
        archive: &mut Archive,
        files: &mut WantedFiles,
    ) -> Result<InstancePart, ExportError> {
        let mut part = InstancePart::new(store.persons(&instance).await?, instance, &self.id, number);
        let head = TranscriptHead { title: part.chat.clone(), zone: self.zone.clone() };
        let ids = part.ids.clone();
        if store.chat(&part.instance, &part.chat).await?.is_some() {
            let (filter, name) = (part.conversation_filter(), part.conversation_name());
            let look: Look<'_> = &mut |message| {
                part.see(message);
                redact(message, &ids);
            };
            part.messages = write(store, (&filter, self.range), (&head, &name), archive, files, look).await?;
        }
        let (filter, name) = (part.groups_filter(), part.groups_name());
        let look: Look<'_> = &mut |message| redact(message, &ids);
        part.group_messages = write(store, (&filter, self.range), (&head, &name), archive, files, look).await?;
        let reactions = ExportQuery::Reactions(part.reaction_filter());
        walk(store, &Scope::All, &reactions, self.range, async |rows| {
            part.reactions += rows.len() as u64;
            Ok(())
        })
        .await?;
        Ok(part)
    }

    /// Writes the same as rows, for programs.
    async fn write_rows(
        &self,
        store: &dyn Store,
        parts: &[InstancePart],
        archive: &mut Archive,
    ) -> Result<(), ExportError> {
        archive.start("messages.ndjson", false)?;
        let mut sink = Box::new(NdjsonSink::new(&mut *archive, rows::MESSAGES));
        for part in parts {
            for filter in [part.conversation_filter(), part.groups_filter()] {
                each_message(store, &filter, self.range, async |messages| {
                    for mut message in messages {
                        redact(&mut message, &part.ids);
                        sink.row(rows::message(message))?;
                    }
                    Ok(())
                })
                .await?;
            }
        }
        sink.finish()?;
        archive.start("reactions.ndjson", false)?;
        let mut sink = Box::new(NdjsonSink::new(&mut *archive, rows::REACTIONS));
        for part in parts {
            let query = ExportQuery::Reactions(part.reaction_filter());
            walk(store, &Scope::All, &query, self.range, async |page| {
                for mut row in page {
                    redact_reaction(&mut row, &part.ids);
                    sink.row(row)?;
                }
                Ok(())
            })
            .await?;
        }
        sink.finish()?;
        Ok(())
    }
}

/// Takes out of a message what is about others: the ids of their messages, and everything but the names on contact cards.
fn redact(message: &mut MessageReport, own: &BTreeSet<String>) {
    message.id = redacted(&message.id, own);
    let fields = &mut message.fields;
    if let Some(quoted) = &mut fields.quoted_message_id {
        *quoted = redacted(quoted, own);
    }
    let is_card = |text: &String| text.trim_start().starts_with("BEGIN:VCARD");
    let card_in_body = fields.body.take_if(|body| is_card(body));
    let names = [fields.vcard.take(), card_in_body].into_iter().flatten().flat_map(|card| card_names(&card));
    let names: BTreeSet<String> = names.collect();
    if !names.is_empty() {
        let names = names.into_iter().map(|name| format!("👤 {name}")).collect::<Vec<_>>().join("\n");
        fields.body = Some(fields.body.take().map_or(names.clone(), |body| format!("{body}\n{names}")));
    }
}

fn redact_reaction(row: &mut [ExportValue], own: &BTreeSet<String>) {
    let place = rows::REACTIONS.iter().position(|column| *column == "message_id");
    if let Some(ExportValue::Text(id)) = place.and_then(|place| row.get_mut(place)) {
        *id = redacted(id, own);
    }
}
