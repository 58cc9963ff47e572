//! What is worked out from messages, filled as docs/schema.md says, for tests of what reads it.

use super::world::{Backend, World};

/// Fills the columns and the table that reading needs, for all that is stored.
pub async fn derive(world: &World) {
    let seconds = match world.backend {
        Backend::Sqlite => "strftime('%s', o.occurred_at) - strftime('%s', i.occurred_at)",
        Backend::Postgres => "floor(extract(epoch FROM o.occurred_at) - extract(epoch FROM i.occurred_at))",
    };
    let statements = [
        "UPDATE messages SET \
         delivered_at = (SELECT min(received_at) FROM message_acks a WHERE a.instance_id = messages.instance_id \
            AND a.message_id = messages.id AND a.ack_rank >= 4), \
         read_at = (SELECT min(received_at) FROM message_acks a WHERE a.instance_id = messages.instance_id \
            AND a.message_id = messages.id AND a.ack_rank >= 5) \
         WHERE from_me",
        "UPDATE chats SET contact = replace(chat_id, '@c.us', '') WHERE chat_id LIKE '%@c.us'",
        "UPDATE chats SET is_group = true WHERE chat_id LIKE '%@g.us'",
        "UPDATE chats SET \
         waiting_since = (SELECT min(occurred_at) FROM messages m WHERE m.instance_id = chats.instance_id \
            AND m.chat_id = chats.chat_id AND NOT m.from_me \
            AND (chats.last_outgoing_at IS NULL OR m.occurred_at > chats.last_outgoing_at)) \
         WHERE contact IS NOT NULL",
        "UPDATE chats SET \
         waiting_id = (SELECT min(id) FROM messages m WHERE m.instance_id = chats.instance_id \
            AND m.chat_id = chats.chat_id AND NOT m.from_me AND m.occurred_at = chats.waiting_since)",
        "DELETE FROM responses",
        &format!(
            "INSERT INTO responses \
             SELECT i.instance_id, i.chat_id, i.occurred_at, i.id, o.occurred_at, o.id, {seconds} \
             FROM messages i JOIN messages o ON o.instance_id = i.instance_id AND o.chat_id = i.chat_id \
             JOIN chats c ON c.instance_id = i.instance_id AND c.chat_id = i.chat_id AND c.contact IS NOT NULL \
             WHERE NOT i.from_me AND o.from_me AND o.occurred_at >= i.occurred_at AND NOT EXISTS ( \
                SELECT 1 FROM messages b WHERE b.instance_id = i.instance_id AND b.chat_id = i.chat_id AND b.from_me \
                AND b.occurred_at >= i.occurred_at AND b.occurred_at < o.occurred_at) AND NOT EXISTS ( \
                SELECT 1 FROM messages e WHERE e.instance_id = i.instance_id AND e.chat_id = i.chat_id AND NOT e.from_me \
                AND e.occurred_at < i.occurred_at AND e.occurred_at > coalesce(( \
                    SELECT max(occurred_at) FROM messages p WHERE p.instance_id = i.instance_id \
                    AND p.chat_id = i.chat_id AND p.from_me AND p.occurred_at < i.occurred_at), '1970-01-01'))"
        ),
    ];
    for statement in statements {
        world.execute(statement).await;
    }
}
