//! Finds the line of a key in a TOML file, so that errors can name it.
//!
//! The parser does not keep the positions of values, so this looks for section headers and for what precedes
//! an equals sign. It may fail to find a key, which then is reported without a line.

/// The line, counted from 1, that sets `key`, or else that of the innermost table around it.
pub(super) fn line_of(text: &str, key: &[String]) -> Option<usize> {
    let mut section: Vec<String> = Vec::new();
    let mut in_long_string = false;
    let mut best = (0, None);
    for (index, line) in text.lines().enumerate() {
        let was_in_long_string = in_long_string;
        let quotes = line.matches("\"\"\"").count() + line.matches("'''").count();
        in_long_string ^= quotes % 2 == 1;
        if was_in_long_string {
            continue;
        }
        let line = line.trim_start();
        let found = if let Some(header) = line.strip_prefix('[') {
            section = parts(header.trim_start_matches('[').split(']').next()?);
            section.clone()
        } else if let Some((name, _)) = line.split_once('=') {
            [section.clone(), parts(name)].concat()
        } else {
            continue;
        };
        if key.starts_with(&found) && found.len() > best.0 {
            best = (found.len(), Some(index + 1));
        }
    }
    best.1
}

/// Splits a dotted key into its parts, without quotes.
fn parts(dotted: &str) -> Vec<String> {
    let parts = dotted.split('.').map(str::trim);
    parts
        .map(|part| part.trim_matches(['"', '\'']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let text = "# server.listen = 1\nserver.listen = 2\n\n[ wal ] # x\n dir = '''\ndir = 5\n'''\n\
                    [batch]\n\"format\"=1\n[log]\nlevel = [\n 1,\n]\n";
        let line = |key: &str| line_of(text, &parts(key));
        assert_eq!(line("server.listen"), Some(2));
        assert_eq!(line("wal.dir"), Some(5));
        assert_eq!(line("batch.format"), Some(9));
        assert_eq!(line("batch.other"), Some(8));
        assert_eq!(line("log.level.0"), Some(11));
        assert_eq!(line("lake.url"), None);
    }
}
