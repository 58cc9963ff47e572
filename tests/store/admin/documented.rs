//! `docs/schema.md` and `docs/sql.md` name every table, view and column, and no others.

use std::collections::BTreeSet;

use crate::support::database::world::{Backend, World, on_both_empty};

const DOCUMENTS: [&str; 2] = [include_str!("../../../docs/schema.md"), include_str!("../../../docs/sql.md")];

/// Returns `table.column` for every row of a table below a heading that names a table, as this database should have it.
fn documented(backend: Backend) -> BTreeSet<String> {
    let sections =
        DOCUMENTS.iter().flat_map(|text| text.split("\n## ").skip(1)).filter_map(|section| section.split_once('\n'));
    let columns = sections.flat_map(|(table, text)| {
        let tables = text.split("| column | meaning |").skip(1);
        let rows = tables.flat_map(|text| text.lines().skip(2).take_while(|line| line.starts_with("| `")));
        let rows = rows.filter(|row| backend == Backend::Sqlite || !row.contains("| SQLite alone:"));
        let names = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2));
        names.map(move |column| format!("{table}.{column}")).collect::<Vec<_>>()
    });
    columns.collect()
}

#[test]
async fn the_document_and_the_databases_agree_on_every_column() {
    on_both_empty(async |world| {
        world.open().await.close().await;
        let query = match world.backend {
            Backend::Sqlite => {
                "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c \
                 WHERE m.type IN ('table', 'view') AND m.name NOT LIKE '\\_%' ESCAPE '\\' \
                     AND m.name NOT LIKE 'message\\_words\\_%' ESCAPE '\\'"
            }
            Backend::Postgres => {
                "SELECT table_name || '.' || column_name FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_%'"
            }
        };
        let columns: BTreeSet<String> = world.rows(query).await.into_iter().collect();
        assert!(columns.len() > 60, "{columns:?}");
        assert_eq!(documented(world.backend), columns);
    })
    .await;
}

/// Syntax that SQLite accepts since 3.38 or 3.39, and that no statement of ours otherwise contains.
const LATER: [&str; 5] = ["IS DISTINCT FROM", "IS NOT DISTINCT FROM", "->", "RIGHT JOIN", "FULL JOIN"];

/// Any program that opens the file parses the whole schema, and fails at the first syntax that it does not know.
#[test]
async fn a_program_with_sqlite_3_37_can_open_the_file() {
    let world = World::empty(Backend::Sqlite).await;
    world.open().await.close().await;
    let schema = world.rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").await;
    assert!(schema.len() > 60, "{schema:?}");
    for words in schema {
        assert!(!LATER.iter().any(|later| words.contains(later)), "{words}");
    }
}
