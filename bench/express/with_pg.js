const { Pool } = require("pg");
const { COLUMNS, listen } = require("./receiver");

const pool = new Pool({ connectionString: process.env.DATABASE_URL });
const places = COLUMNS.split(", ").map((_, place) => `$${place + 1}`).join(", ");
const text = `INSERT INTO messages (${COLUMNS}) VALUES (${places}) ON CONFLICT (instance_id, id) DO NOTHING`;

listen((values) => pool.query({ name: "save", text, values }));
