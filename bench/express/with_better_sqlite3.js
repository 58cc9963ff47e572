const fs = require("node:fs");
const path = require("node:path");
const Database = require("better-sqlite3");
const { COLUMNS, listen } = require("./receiver");

const db = new Database(process.env.DATABASE_FILE);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.exec(fs.readFileSync(path.join(__dirname, "messages.sql"), "utf8"));
const places = COLUMNS.split(", ").map(() => "?").join(", ");
const save = db.prepare(`INSERT INTO messages (${COLUMNS}) VALUES (${places}) ON CONFLICT (instance_id, id) DO NOTHING`);

listen((values) => save.run(values));
