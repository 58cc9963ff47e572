//! A conversation for people: pages of HTML that open by a double click, and the same as plain text.

use std::io::{self, Seek, Write};
use std::path::Path;

use super::ExportError;
use super::archive::Archive;
use super::media::WantedFiles;
use super::pages::{ExportRange, each_message};
use super::transcript::{Transcript, TranscriptHead};
use crate::blob::Blobs;
use domain::chat::ChatKey;
use domain::time::zone::Zone;
use store::{MessageFilter, MessageReport, Store};

/// The messages of a page of HTML. Browsers show such a page at once.
const PAGE_MESSAGES: u64 = 5_000;

/// The result of the export of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConversationSummary {
    pub messages: u64,
    /// Files that the media store does not have.
    pub missing_files: u64,
}

/// Writes a conversation with its files as a ZIP or into a folder.
pub async fn export(
    store: &dyn Store,
    blobs: &Blobs,
    chat: &ChatKey,
    range: ExportRange,
    zone: &Zone,
    path: &Path,
) -> Result<ConversationSummary, ExportError> {
    let (mut archive, mut files) = (Archive::create(path)?, WantedFiles::default());
    let name = store.chat(&chat.instance_id, &chat.chat_id).await?.and_then(|chat| chat.name);
    let head = TranscriptHead { title: name.unwrap_or_else(|| chat.chat_id.clone()), zone: zone.clone() };
    let filter = MessageFilter {
        instance_id: Some(chat.instance_id.clone()),
        chat_id: Some(chat.chat_id.clone()),
        ..MessageFilter::default()
    };
    let written =
        write(store, (&filter, range), (&head, "conversation"), &mut archive, &mut files, &mut |_| {}).await?;
    let missing_files = files.copy(blobs, &mut archive).await?;
    archive.finish()?;
    Ok(ConversationSummary { messages: written, missing_files })
}

/// A look at each message before it is written, which may change it.
pub type Look<'l> = &'l mut (dyn FnMut(&mut MessageReport) + Send);

/// Writes the messages of a filter as `NAME.html`, with further pages, and as `NAME.txt`; nothing if there are none.
pub async fn write(
    store: &dyn Store,
    (filter, range): (&MessageFilter, ExportRange),
    (head, name): (&TranscriptHead, &str),
    archive: &mut Archive,
    files: &mut WantedFiles,
    look: Look<'_>,
) -> Result<u64, ExportError> {
    // The text is kept apart, because a ZIP has one file after the other.
    let mut text = io::BufWriter::new(tempfile::tempfile()?);
    let (mut count, mut page) = (0, 1);
    let file_name = |page: u64| if page == 1 { format!("{name}.html") } else { format!("{name}-{page}.html") };
    each_message(store, filter, range, async |messages| {
        for mut message in messages {
            look(&mut message);
            if count == 0 {
                archive.start(&file_name(1), false)?;
                archive.write_all(Transcript::opening(head, None).as_bytes())?;
            } else if count % PAGE_MESSAGES == 0 {
                archive.write_all(Transcript::closing(Some(&file_name(page + 1))).as_bytes())?;
                page += 1;
                archive.start(&file_name(page), false)?;
                archive.write_all(Transcript::opening(head, Some(&file_name(page - 1))).as_bytes())?;
            }
            count += 1;
            let file = message.media.as_ref().and_then(|job| job.file.as_ref()).map(|file| (files.want(file), file));
            let transcript = Transcript { message: &message, file, zone: &head.zone };
            archive.write_all(transcript.html().as_bytes())?;
            text.write_all(transcript.text().as_bytes())?;
        }
        Ok(())
    })
    .await?;
    if count == 0 {
        return Ok(0);
    }
    archive.write_all(Transcript::closing(None).as_bytes())?;
    let mut text = text.into_inner().map_err(io::IntoInnerError::into_error)?;
    text.rewind()?;
    archive.start(&format!("{name}.txt"), false)?;
    io::copy(&mut text, archive)?;
    Ok(count)
}
