//! Reads what one module declares and names: child modules, items, `use` declarations, paths.

use std::collections::BTreeSet;

use super::tokens::{Located, Token};

/// A path as it is written, and the line it starts on.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// One name that a `use` declaration brings into a module.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// `None` for a glob.
    pub(crate) name: Option<String>,
    pub(crate) path: Path,
    /// `pub use`, `pub(crate) use`, ….
    pub(crate) is_public: bool,
}

/// A `mod` declaration.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    /// The text of `#[path = "…"]`.
    pub(crate) path: Option<String>,
    /// Behind `#[cfg(test)]`.
    pub(crate) is_test: bool,
    /// `Some` for a module with a body.
    pub(crate) body: Option<Declarations>,
}

/// What one module declares and names, without what `#[cfg(test)]` covers.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) children: Vec<Child>,
    pub(crate) items: BTreeSet<String>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) paths: Vec<Path>,
    /// Every word in macros, and given to macros, that may declare items.
    pub(crate) macro_words: BTreeSet<String>,
    /// Every word outside `use` declarations.
    pub(crate) words: BTreeSet<String>,
}

impl Declarations {
    /// Reads the tokens of one file.
    pub(crate) fn from_tokens(tokens: &[Located]) -> Self {
        let mut found = Self::default();
        let mut reader = Reader { tokens, at: 0 };
        while reader.at < tokens.len() {
            let start = reader.at;
            reader.item(&mut found);
            // A stray bracket is no reason to stand still.
            reader.at = reader.at.max(start + 1);
        }
        found
    }
}

fn is_item_keyword(word: &str) -> bool {
    matches!(word, "struct" | "enum" | "union" | "trait" | "type" | "fn" | "static" | "const")
}

/// Tells the `fn` of `const fn` from the name of a constant.
fn is_modifier(word: &str) -> bool {
    matches!(word, "fn" | "unsafe" | "async" | "extern" | "mut" | "ref")
}

#[derive(Default)]
struct Attributes {
    is_test: bool,
    path: Option<String>,
}

struct Reader<'a> {
    tokens: &'a [Located],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead).map(|located| &located.token)
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        self.peek(ahead).and_then(Token::word) == Some(word)
    }

    fn is_sign(&self, ahead: usize, sign: char) -> bool {
        self.peek(ahead) == Some(&Token::Sign(sign))
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |located| located.line)
    }

    /// Returns the tokens of a bracketed group, which starts here, without its brackets.
    fn group(&mut self) -> &'a [Located] {
        let start = self.at + 1;
        let mut depth = 0;
        while let Some(token) = self.peek(0) {
            self.at += 1;
            match token {
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.tokens.get(start..self.at.saturating_sub(1)).unwrap_or_default()
    }

    fn attributes(&mut self) -> Attributes {
        let mut found = Attributes::default();
        while self.is_sign(0, '#') {
            self.at += 1;
            if self.is_sign(0, '!') {
                self.at += 1;
            }
            let attribute = self.group();
            let has = |word| attribute.iter().any(|located| located.token.word() == Some(word));
            match attribute {
                [first, ..] if first.token.word() == Some("cfg") => {
                    found.is_test |= has("test") && !has("not") && !has("any");
                }
                [first, _, value] if first.token.word() == Some("path") => {
                    if let Token::Literal(path) = &value.token {
                        found.path = Some(path.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn item(&mut self, found: &mut Declarations) {
        let attributes = self.attributes();
        let is_public = self.is_word(0, "pub");
        if is_public {
            self.at += 1;
            if self.is_sign(0, '(') {
                self.group();
            }
        }
        if self.is_word(0, "mod") {
            self.module(attributes, found);
        } else if attributes.is_test {
            self.body(&mut Declarations::default());
        } else if self.is_word(0, "use") {
            self.use_declaration(is_public, found);
        } else {
            self.item_name(found);
            self.body(found);
        }
    }

    fn module(&mut self, attributes: Attributes, found: &mut Declarations) {
        let name = self.peek(1).and_then(Token::word).unwrap_or_default().to_owned();
        self.at += 2;
        let body = self.is_sign(0, '{').then(|| Declarations::from_tokens(self.group()));
        if self.is_sign(0, ';') {
            self.at += 1;
        }
        found.children.push(Child {
            name,
            path: attributes.path,
            is_test: attributes.is_test,
            body,
        });
    }

    /// Notes the names that the item here declares; leaves the position as it is.
    fn item_name(&self, found: &mut Declarations) {
        let mut ahead = 0;
        loop {
            match self.peek(ahead) {
                Some(Token::Word(word)) if word == "macro_rules" => {
                    found.items.extend(self.name_at(ahead + 2));
                    self.macro_words(ahead + 3, found);
                    return;
                }
                Some(Token::Word(word)) if word == "impl" => return,
                Some(Token::Word(word)) if is_item_keyword(word) => {
                    let name = self.name_at(ahead + 1);
                    if !name.as_deref().is_some_and(is_modifier) {
                        found.items.extend(name);
                        return;
                    }
                }
                Some(Token::Sign('!')) => {
                    self.macro_words(ahead + 1, found);
                    return;
                }
                Some(Token::Word(_) | Token::Literal(_) | Token::PathSeparator) => {}
                Some(Token::Sign(_)) | None => return,
            }
            ahead += 1;
        }
    }

    fn macro_words(&self, ahead: usize, found: &mut Declarations) {
        let mut group = Reader { tokens: self.tokens, at: self.at + ahead };
        let words = group.group().iter().filter_map(|located| located.token.word());
        found.macro_words.extend(words.map(String::from));
    }

    fn name_at(&self, ahead: usize) -> Option<String> {
        self.peek(ahead).and_then(Token::word).map(String::from)
    }

    /// Reads the rest of an item: up to `;`, or to the brace that closes it.
    fn body(&mut self, found: &mut Declarations) {
        let starts_with = |words: &[&str]| words.iter().any(|word| self.is_word(0, word));
        let is_value = starts_with(&["const", "static", "type", "let"])
            && !self.peek(1).and_then(Token::word).is_some_and(is_modifier);
        // A field, a variant, a match arm or an argument ends with a comma.
        let is_member = !is_value
            && !starts_with(&[
                "pub", "fn", "async", "const", "unsafe", "extern", "impl", "struct", "enum",
            ])
            && !starts_with(&["union", "trait", "macro_rules", "use"])
            && !self.is_sign(1, '!');
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('#') if self.is_sign(1, '[') => {
                    if self.attributes().is_test {
                        self.body(&mut Declarations::default());
                    }
                    continue;
                }
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(closing @ (')' | ']' | '}')) => {
                    let Some(outer) = depth.checked_sub(1) else {
                        // The group around a nested item ends.
                        return;
                    };
                    depth = outer;
                    if depth == 0 && *closing == '}' && !is_value {
                        self.at += 1;
                        return;
                    }
                }
                Token::Sign(end @ (';' | ',')) if depth == 0 && (*end == ';' || is_member) => {
                    self.at += 1;
                    return;
                }
                Token::Word(word) if word == "use" && self.starts_use() => {
                    self.use_declaration(false, found);
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                Token::Word(_) => {
                    self.path(found);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Tells a declaration from the `use<…>` of a captured lifetime.
    fn starts_use(&self) -> bool {
        matches!(self.peek(1), Some(Token::Word(_) | Token::PathSeparator | Token::Sign('{')))
    }

    fn path(&mut self, found: &mut Declarations) {
        let line = self.line();
        let follows = self.at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let is_start = !follows
            .is_some_and(|before| matches!(before.token, Token::PathSeparator | Token::Sign('.')));
        let mut segments = Vec::new();
        while let Some(word) = self.peek(0).and_then(Token::word) {
            found.words.insert(word.to_owned());
            segments.push(word.to_owned());
            self.at += 1;
            if self.peek(0) != Some(&Token::PathSeparator)
                || self.peek(1).and_then(Token::word).is_none()
            {
                break;
            }
            self.at += 1;
        }
        if is_start && segments.len() > 1 {
            found.paths.push(Path { segments, line });
        }
    }

    fn use_declaration(&mut self, is_public: bool, found: &mut Declarations) {
        self.at += 1;
        if self.peek(0) == Some(&Token::PathSeparator) {
            // `use ::name` is another crate.
            self.at += 1;
            self.use_tree(&["::".to_owned()], is_public, &mut found.bindings);
        } else {
            self.use_tree(&[], is_public, &mut found.bindings);
        }
        if self.is_sign(0, ';') {
            self.at += 1;
        }
    }

    fn use_tree(&mut self, before: &[String], is_public: bool, found: &mut Vec<Binding>) {
        let line = self.line();
        let mut segments = before.to_vec();
        loop {
            match self.peek(0) {
                Some(Token::Word(word)) if word == "as" => break,
                Some(Token::Word(word)) => segments.push(word.clone()),
                Some(Token::PathSeparator) => {}
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    while !self.is_sign(0, '}') && self.peek(0).is_some() {
                        self.use_tree(&segments, is_public, found);
                        if self.is_sign(0, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    found.push(Binding { name: None, path: Path { segments, line }, is_public });
                    return;
                }
                _ => break,
            }
            self.at += 1;
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let mut name = segments.last().cloned();
        if self.is_word(0, "as") {
            name = self.peek(1).and_then(Token::word).map(String::from);
            self.at += 2;
        }
        found.push(Binding {
            name: name.or_else(|| Some("_".to_owned())),
            path: Path { segments, line },
            is_public,
        });
    }
}
