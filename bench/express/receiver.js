// The provider's receiver for Express, made durable the way a user would: each event is a row, and 200 is answered when
// it is committed. The guide's set of seen ids is the table's key, which names the kind of event too.
const crypto = require("node:crypto");
const express = require("express");

const SECRET = process.env.WHAPI_WEBHOOK_SECRET;

function verifyHmac(req) {
  const signature = Buffer.from(req.get("X-Whapi-Signature") || "");
  const expected = Buffer.from(crypto.createHmac("sha256", SECRET).update(req.rawBody).digest("hex"));
  return signature.length === expected.length && crypto.timingSafeEqual(expected, signature);
}

function row(event, instance) {
  const distinct = event.ack ?? event.reaction ?? "";
  return [
    instance, [event.event_type, event.id ?? event.message_id ?? event.timestamp, distinct].join(":"),
    event.chat_id ?? null, event.from ?? event.from_number ?? null, event.to ?? null, event.from_me ?? 0,
    event.sender_name ?? null, event.body ?? null, event.type ?? null, event.timestamp ?? null, event.is_group ?? 0,
    event.quoted_message_id ?? null, event.reaction ?? null, event.media_url ?? null, event.status ?? null,
    event.ack ?? null, event.group_sender ?? null,
  ];
}

const COLUMNS =
  "instance_id, id, chat_id, from_id, to_id, from_me, sender_name, body, type, sent_at, is_group, quoted_message_id, " +
  "reaction, media_url, status, ack, group_sender";

// `save` stores one row, or does nothing if its key is there, and returns when that is on disk.
function listen(save) {
  const app = express();
  app.use(express.json({ verify: (req, _res, buf) => { req.rawBody = buf; } }));
  app.post("/webhook/:instance", async (req, res) => {
    try {
      if (!verifyHmac(req)) return res.sendStatus(401);
      await save(row(req.body, req.params.instance));
      res.sendStatus(200);
    } catch (error) {
      console.error("Webhook error:", error);
      res.sendStatus(500);
    }
  });
  const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
  process.on("SIGTERM", () => process.exit(0));
}

module.exports = { COLUMNS, listen };
