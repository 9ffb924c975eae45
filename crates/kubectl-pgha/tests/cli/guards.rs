//! The page that is made of the list of guards.

use std::path::Path;

use pgha_model::guard::wanted::{Answer, WANTED};
use pgha_model::guard::{Entry, all};

#[test]
fn the_page_is_what_the_list_says() {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guards.md");
    let now = page();
    if std::fs::read_to_string(&stored).ok().as_deref() == Some(&now) {
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guards.md");
    std::fs::write(&fresh, now).unwrap();
    panic!(
        "docs/guards.md is stale; mend it with: cp {} docs/guards.md",
        fresh.display()
    );
}

fn page() -> String {
    let mut page = String::from(
        "# The guards of a move\n\n\
         Made from the list in the crate `pgha-model` by a test of the crate `kubectl-pgha`, which fails when this page \
         is stale.\n\n\
         A guard is a condition without which a move does not go on. The checks act before anything is changed \
         ([validate.md](validate.md)), the others while a move is under way. `cargo xtask guards` takes each away in turn, \
         and the test that is named here has to fail. What a user lifts is told in the record of the move, and \
         `history` shows it.\n\n\
         | guard | acts in | keeps from happening | lifted by | answers | missed by |\n|---|---|---|---|---|---|\n",
    );
    page.extend(all().iter().map(row));
    page.push_str(
        "\n# What incidents and security notes ask for\n\n| from | asks for | answered by |\n|---|---|---|\n",
    );
    for wanted in WANTED {
        let answer = match wanted.answer {
            Answer::Guards(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
                ids.join(", ")
            }
            Answer::Not(reason) => format!("No guard: {reason}"),
        };
        page.extend([
            "| ",
            wanted.from,
            " | ",
            wanted.asks,
            " | ",
            &answer,
            " |\n",
        ]);
    }
    page
}

fn row(guard: &Entry) -> String {
    let lifted_by = guard
        .lifted_by
        .map_or("nobody".to_owned(), |flag| format!("`{flag}`"));
    format!(
        "| `{}` | {} | {} | {lifted_by} | {} | `{}` |\n",
        guard.id,
        guard.place.name(),
        guard.stops,
        guard.answers.join(", "),
        guard.missed_by.name
    )
}
