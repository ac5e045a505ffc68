//! Rust text as tokens: enough to find paths, items and blocks, without a parser.

/// A token and the line on which it begins, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// The line on which it ends; literals may span several.
    pub(crate) last_line: usize,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text
    }

    pub(crate) fn is_word(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of a file. Comments are left out; a literal is one token, of which only the quote is kept.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn pass(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    fn push(&mut self, text: impl Into<String>, line: usize) {
        self.tokens.push(Token {
            text: text.into(),
            line,
            last_line: self.line,
        });
    }

    fn step(&mut self) {
        let (here, line) = (self.peek(0), self.line);
        match (here, self.peek(1)) {
            ('/', '/') => {
                while self.at < self.chars.len() && self.peek(0) != '\n' {
                    self.pass(1);
                }
            }
            ('/', '*') => self.block_comment(),
            ('"', _) => self.text(),
            ('\'', next) => {
                let is_lifetime = (next.is_alphabetic() || next == '_') && self.peek(2) != '\'';
                self.pass(1);
                if is_lifetime {
                    self.word();
                    self.push("'", line);
                } else {
                    self.pass(if next == '\\' { 2 } else { 1 });
                    while self.at < self.chars.len() && self.peek(0) != '\'' {
                        self.pass(1);
                    }
                    self.pass(1);
                    self.push("\"", line);
                }
            }
            _ if here.is_whitespace() => self.pass(1),
            _ if here.is_alphabetic() || here == '_' => self.word_or_literal(),
            _ if here.is_ascii_digit() => {
                self.word();
                self.push("0", line);
            }
            (':', ':') | ('-' | '=', '>') => {
                self.pass(2);
                self.push(
                    [here, self.chars[self.at - 1]].iter().collect::<String>(),
                    line,
                );
            }
            _ => {
                self.pass(1);
                self.push(here, line);
            }
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.pass(1);
        }
        self.chars[start..self.at].iter().collect()
    }

    /// A word, or the prefix of a literal such as `b"…"` or `r#"…"#`.
    fn word_or_literal(&mut self) {
        let line = self.line;
        let word = self.word();
        let is_prefix = matches!(&*word, "b" | "c" | "r" | "br" | "cr");
        match self.peek(0) {
            '"' if is_prefix && word.ends_with('r') => self.raw_text(0),
            '"' if is_prefix => self.text(),
            '\'' if word == "b" => {
                self.pass(if self.peek(1) == '\\' { 3 } else { 2 });
                while self.at < self.chars.len() && self.peek(0) != '\'' {
                    self.pass(1);
                }
                self.pass(1);
                self.push("\"", line);
            }
            '#' if word.ends_with('r') && is_prefix => {
                let mut hashes = 0;
                while self.peek(hashes) == '#' {
                    hashes += 1;
                }
                if self.peek(hashes) == '"' {
                    self.pass(hashes);
                    self.raw_text(hashes);
                } else {
                    // A raw identifier, `r#type`.
                    self.pass(hashes);
                    let word = self.word();
                    self.push(word, line);
                }
            }
            _ => self.push(word, line),
        }
    }

    fn text(&mut self) {
        let line = self.line;
        self.pass(1);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            self.pass(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.pass(1);
        self.push("\"", line);
    }

    fn raw_text(&mut self, hashes: usize) {
        let line = self.line;
        self.pass(1);
        let is_end = |lexer: &Self| {
            lexer.peek(0) == '"' && (1..=hashes).all(|ahead| lexer.peek(ahead) == '#')
        };
        while self.at < self.chars.len() && !is_end(self) {
            self.pass(1);
        }
        self.pass(1 + hashes);
        self.push("\"", line);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ if self.at >= self.chars.len() => return,
                _ => {
                    self.pass(1);
                    continue;
                }
            }
            self.pass(2);
            if depth == 0 {
                return;
            }
        }
    }
}

/// The index behind the bracket that closes the one at `open`.
pub(crate) fn behind_block(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match &*token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The index behind the item that begins at `start`, its attributes and visibility included.
pub(crate) fn behind_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    let mut is_use = false;
    let mut has_bounds = false;
    while let Some(token) = tokens.get(at) {
        match &*token.text {
            "where" => has_bounds = true,
            "use" | "const" | "static" | "type" => is_use = true,
            // `const fn` has a body like any function.
            "fn" => is_use = false,
            // A comma separates bounds, or ends what is not an item, such as a field.
            "," if has_bounds => {}
            ";" | "," => return at + 1,
            ")" | "]" | "}" => return at,
            "{" if !is_use => return behind_block(tokens, at),
            "(" | "[" | "{" => {
                at = behind_block(tokens, at);
                continue;
            }
            "<" => {
                at = behind_generics(tokens, at);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// The index behind the `>` that closes the `<` at `open`; in no type or item is one a comparison.
pub(crate) fn behind_generics(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = open;
    while let Some(token) = tokens.get(at) {
        match &*token.text {
            "<" => depth += 1,
            ">" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            "(" | "[" => {
                at = behind_block(tokens, at);
                continue;
            }
            // Never within generics here: it was a comparison after all.
            "{" | "}" | ";" => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Tokens without the items that only tests see, the modules that only tests see, and the lines of these items.
pub(crate) struct Shipped {
    pub(crate) tokens: Vec<Token>,
    pub(crate) test_modules: Vec<String>,
    pub(crate) test_lines: usize,
}

/// Leaves out what is marked `#[cfg(test)]`.
pub(crate) fn shipped(tokens: &[Token]) -> Shipped {
    let mut shipped = Shipped {
        tokens: Vec::new(),
        test_modules: Vec::new(),
        test_lines: 0,
    };
    let mut at = 0;
    while at < tokens.len() {
        let mark: Vec<&str> = tokens[at..].iter().take(7).map(|t| &*t.text).collect();
        if mark == ["#", "[", "cfg", "(", "test", ")", "]"] {
            let end = behind_item(tokens, behind_attributes(tokens, at));
            let item = &tokens[at..end];
            shipped.test_lines += item[item.len() - 1].last_line - item[0].line + 1;
            let module = item.iter().position(|token| token.is("mod"));
            if let Some(name) = module.and_then(|at| item.get(at + 1)) {
                shipped.test_modules.push(name.text.clone());
            }
            at = end;
        } else {
            shipped.tokens.push(tokens[at].clone());
            at += 1;
        }
    }
    shipped
}

/// The index behind the attributes that begin at `start`.
pub(crate) fn behind_attributes(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while tokens.get(at).is_some_and(|token| token.is("#")) {
        let open = at + 1 + usize::from(tokens.get(at + 1).is_some_and(|token| token.is("!")));
        at = behind_block(tokens, open);
    }
    at
}
