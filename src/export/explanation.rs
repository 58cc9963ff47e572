//! The page that explains the file of a person, in Spanish, and the facts that it tells.

use std::collections::BTreeSet;

use super::person::PersonSummary;
use domain::chat::chat_kind::{ChatKind, ChatKinds};
use domain::instance::InstanceId;
use domain::time::timestamp::Timestamp;
use domain::time::zone::Zone;
use store::{KnownPersons, MessageFilter, MessageReport, ReactionFilter};

/// The time without a message after which a number may belong to somebody else.
const GAP_MILLIS: i64 = 90 * 24 * 60 * 60 * 1_000;
/// The names of a person that are told.
const NAMES: usize = 20;

/// The part of a person's data that came through one instance.
#[derive(Debug)]
pub struct InstancePart {
    pub instance: InstanceId,
    /// The id of the conversation.
    pub chat: String,
    /// All ids of the person.
    pub ids: BTreeSet<String>,
    /// The evidence that these ids are one person.
    evidence: Vec<String>,
    given_names: Vec<String>,
    /// The names under which the person wrote, in the order of time.
    names: Vec<String>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The longest time without a message.
    gap: i64,
    number: usize,
    pub messages: u64,
    pub group_messages: u64,
    pub reactions: u64,
}

impl InstancePart {
    pub fn new(known: KnownPersons, instance: InstanceId, id: &str, number: usize) -> Self {
        let alias = known.aliases.iter().find(|(alias, _)| alias == id);
        let chat = alias.map_or_else(|| id.to_owned(), |(_, chat)| chat.clone());
        let others = known.aliases.iter().filter(|(_, of)| *of == chat).map(|(alias, _)| alias.clone());
        let ids: BTreeSet<String> = others.chain([id.to_owned(), chat.clone()]).collect();
        let both = |a: &String, b: &String| ids.contains(a) && ids.contains(b);
        let links = known.links.iter().filter(|it| it.a != it.b && both(&it.a, &it.b));
        let links = links.map(|it| format!("{} = {}: {}", it.a, it.b, it.source.as_str()));
        let owner = known.owner.iter().filter(|it| it.linked && both(&it.a, &it.b));
        let evidence = links.chain(owner.map(|it| format!("{} = {}: owner", it.a, it.b))).collect();
        let given_names = known.names.into_iter().filter(|(id, _)| ids.contains(id)).map(|(_, name)| name).collect();
        let (names, first, last, gap) = (vec![], None, None, 0);
        let (messages, group_messages, reactions) = (0, 0, 0);
        Self {
            instance,
            chat,
            ids,
            evidence,
            given_names,
            names,
            first,
            last,
            gap,
            number,
            messages,
            group_messages,
            reactions,
        }
    }

    pub fn conversation_name(&self) -> String {
        format!("conversation-{}", self.number)
    }

    pub fn groups_name(&self) -> String {
        format!("groups-{}", self.number)
    }

    pub fn conversation_filter(&self) -> MessageFilter {
        MessageFilter {
            instance_id: Some(self.instance.clone()),
            chat_id: Some(self.chat.clone()),
            ..MessageFilter::default()
        }
    }

    /// Returns the filter of the person's own messages where many write.
    pub fn groups_filter(&self) -> MessageFilter {
        MessageFilter {
            instance_id: Some(self.instance.clone()),
            author: Some(self.chat.clone()),
            kinds: Some(ChatKinds::all().that(ChatKind::is_of_many)),
            ..MessageFilter::default()
        }
    }

    pub fn reaction_filter(&self) -> ReactionFilter {
        let (instance_id, from_number) = (Some(self.instance.clone()), Some(self.chat.clone()));
        ReactionFilter { instance_id, from_number, ..ReactionFilter::default() }
    }

    /// Takes in a message of the conversation. They come in the order of time.
    pub fn see(&mut self, message: &MessageReport) {
        let at = message.occurred_at;
        self.gap = self.gap.max(self.last.map_or(0, |last| at.millis() - last.millis()));
        self.first = self.first.or(Some(at));
        self.last = Some(at);
        let name = message.fields.sender_name.as_ref().filter(|_| !message.fields.from_me);
        if let Some(name) = name
            && !self.names.contains(name)
            && self.names.len() < NAMES
        {
            self.names.push(name.clone());
        }
    }

    /// Returns signs that the number was somebody else's before. With a beginning that somebody chose, there are none.
    pub fn doubts(&self, has_beginning: bool) -> Vec<String> {
        if has_beginning {
            return vec![];
        }
        let days = self.gap / (24 * 60 * 60 * 1_000);
        let gap = (self.gap >= GAP_MILLIS).then(|| format!("nobody wrote for {days} days"));
        let renamed = (self.names.len() > 1).then(|| format!("the name changed ({} names)", self.names.len()));
        let doubt = |sign: String| {
            format!(
                "{sign} in instance {}: the number may have been somebody else's; choose a beginning with --since",
                self.instance
            )
        };
        gap.into_iter().chain(renamed).map(doubt).collect()
    }
}

/// The facts of the page.
pub struct Explanation<'f> {
    pub parts: &'f [InstancePart],
    pub summary: &'f PersonSummary,
    pub zone: &'f Zone,
    pub now: Timestamp,
    pub receivers: &'f [String],
}

impl Explanation<'_> {
    /// Returns the page as text.
    pub fn text(&self) -> String {
        let mut lines = vec![
            "DATOS DE UNA PERSONA".to_owned(),
            format!("Hecho el {} ({}).", self.zone.clock_text(self.now), self.zone),
            String::new(),
            "QUÉ HAY EN ESTE ARCHIVO".to_owned(),
        ];
        for part in self.parts {
            lines.push(format!("Instancia {}, conversación {}:", part.instance, part.chat));
            if part.messages > 0 {
                let name = part.conversation_name();
                lines.push(format!("  {} mensajes de los dos lados: {name}.html, {name}.txt", part.messages));
            }
            if let (Some(first), Some(last)) = (part.first, part.last) {
                lines.push(format!("  desde {} hasta {}", self.zone.clock_text(first), self.zone.clock_text(last)));
            }
            if part.group_messages > 0 {
                let name = part.groups_name();
                lines.push(format!("  {} mensajes propios en grupos: {name}.html, {name}.txt", part.group_messages));
            }
            lines.push(format!("  {} reacciones propias: reactions.ndjson", part.reactions));
            lines.push(format!("  Nombres con los que escribió: {}", listed(&part.names)));
            lines.push(format!("  Nombres que le dio quien opera este servicio: {}", listed(&part.given_names)));
            lines.push(format!("  Identificadores: {}", listed(&Vec::from_iter(part.ids.clone()))));
            lines.push(format!("  Por qué son una persona: {}", listed(&part.evidence)));
        }
        lines.push("Los mensajes para programas: messages.ndjson. Los archivos: media/.".to_owned());
        if self.summary.missing_files > 0 {
            lines.push(format!("Archivos que ya no están guardados: {}.", self.summary.missing_files));
        }
        let rest = [
            "",
            "DE DÓNDE VIENE",
            "De una pasarela de WhatsApp, que entregó cada mensaje cuando se envió o se recibió.",
            "",
            "CUÁNTO TIEMPO SE GUARDA",
            "Hasta que quien opera este servicio lo borra, o hasta que vence el plazo que fijó. Las copias de",
            "seguridad lo conservan hasta que se eliminan.",
            "",
            "QUIÉN LO RECIBIÓ",
        ];
        lines.extend(rest.map(str::to_owned));
        match self.receivers {
            [] => lines.push("Nadie por reenvío automático.".to_owned()),
            receivers => lines.extend(receivers.iter().map(|receiver| format!("  {receiver}"))),
        }
        let rest = [
            "Además, WhatsApp y los teléfonos de los participantes tienen sus propias copias.",
            "",
            "QUÉ NO ESTÁ",
            "Los mensajes de otras personas en grupos, el texto de los mensajes citados, y de las tarjetas de contacto",
            "todo menos los nombres: son datos de otras personas.",
        ];
        lines.extend(rest.map(str::to_owned));
        lines.join("\r\n") + "\r\n"
    }
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "ninguno".to_owned() } else { texts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_silence_or_another_name_is_a_doubt_unless_a_beginning_is_chosen() {
        let mut part = InstancePart::new(KnownPersons::default(), InstanceId::from_store("7"), "573001112233@c.us", 1);
        assert_eq!(part.doubts(false), Vec::<String>::new());
        part.gap = GAP_MILLIS;
        part.names = vec!["Ana".to_owned(), "Luis".to_owned()];
        assert_eq!(part.doubts(false).len(), 2);
        assert_eq!(part.doubts(true), Vec::<String>::new());
    }
}
