//! An event that the contract takes, and a command that sends it.

use super::state::Console;

/// The id of the example.
const ID: &str = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";

/// An event as the contract wants it.
pub(super) fn event(console: &Console) -> String {
    if console.settings.is_open {
        return "{\"type\":\"hello\",\"text\":\"my first event\"}".to_owned();
    }
    let now = console.app.clock.wall();
    let rules = console.app.core.get().map(|core| core.contract.rules());
    let first = |list: Option<&Vec<String>>, or: &str| {
        list.and_then(|list| list.first())
            .map_or(or.to_owned(), Clone::clone)
    };
    let event_type = first(rules.map(|rules| &rules.types), "click");
    let source = first(rules.map(|rules| &rules.sources), "web");
    format!(
        "{{\"events\":[{{\"event_id\":\"{ID}\",\"user_id\":\"u-1\",\n   \"event_type\":\"{event_type}\",\
         \"source\":\"{source}\",\"timestamp\":\"{now}\",\"properties\":{{}}}}]}}"
    )
}

/// A command that sends it.
pub(super) fn command(console: &Console) -> String {
    let url = format!(
        "{}{}",
        console.settings.receives_at, console.app.settings.endpoint
    );
    let token = if console.app.tokens.are_required() {
        " \\\n  -H \"Authorization: Bearer $TOKEN\""
    } else {
        ""
    };
    let event = event(console);
    format!("curl -sS {url} -H 'Content-Type: application/json'{token} \\\n  -d '{event}'")
}
