//! Splits Rust source text into the few kinds of token that paths and modules consist of.

use std::iter::Peekable;
use std::str::Chars;

/// A token; comments and white space are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// An identifier or a keyword.
    Word(String),
    /// A string, character or number, without its quotes.
    Literal(String),
    /// `::`
    PathSeparator,
    /// Any other character.
    Sign(char),
}

impl Token {
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// A token and its line, counted from 1.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) token: Token,
    pub(crate) line: usize,
}

/// Returns the tokens of a source text.
pub(crate) fn tokens(source: &str) -> Vec<Located> {
    let mut lexer = Lexer { rest: source.chars().peekable(), line: 1 };
    let mut found = Vec::new();
    while let Some(start) = lexer.next() {
        let line = lexer.line;
        if let Some(token) = lexer.token(start) {
            found.push(Located { token, line });
        }
    }
    found
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn take_if(&mut self, expected: char) -> bool {
        let found = self.rest.peek() == Some(&expected);
        if found {
            self.next();
        }
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.rest.next_if(|next| accept(*next)) {
            self.line += usize::from(next == '\n');
            taken.push(next);
        }
        taken
    }

    fn token(&mut self, start: char) -> Option<Token> {
        Some(match start {
            '/' if self.take_if('/') => {
                self.take_while(|next| next != '\n');
                return None;
            }
            '/' if self.take_if('*') => {
                self.skip_block_comment();
                return None;
            }
            ':' if self.take_if(':') => Token::PathSeparator,
            '"' => Token::Literal(self.string()),
            '\'' => return self.character_or_lifetime(),
            _ if start.is_whitespace() => return None,
            _ if start.is_ascii_digit() => Token::Literal(self.take_while(is_word_part)),
            _ if is_word_part(start) => self.word(start),
            _ => Token::Sign(start),
        })
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some('/') if self.take_if('*') => depth += 1,
                Some('*') if self.take_if('/') => depth -= 1,
                Some(_) => {}
                None => return,
            }
        }
    }

    fn string(&mut self) -> String {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '"' => break,
                '\\' => {
                    self.next();
                }
                _ => text.push(next),
            }
        }
        text
    }

    /// Reads up to the quote that the given number of `#` follows.
    fn raw_string(&mut self, hashes: usize) -> String {
        let mut text = String::new();
        while let Some(next) = self.next() {
            text.push(next);
            if next == '"' {
                let mut closing = 0;
                while closing < hashes && self.take_if('#') {
                    closing += 1;
                }
                if closing == hashes {
                    text.pop();
                    break;
                }
                text.extend(std::iter::repeat_n('#', closing));
            }
        }
        text
    }

    /// Lifetimes do not matter to paths and are dropped.
    fn character_or_lifetime(&mut self) -> Option<Token> {
        let first = self.next()?;
        if first == '\\' {
            self.next();
            self.take_while(|next| next != '\'');
            self.next();
            return Some(Token::Literal(String::new()));
        }
        if self.take_if('\'') {
            return Some(Token::Literal(first.into()));
        }
        self.take_while(is_word_part);
        None
    }

    fn word(&mut self, start: char) -> Token {
        let mut word = String::from(start);
        word.push_str(&self.take_while(is_word_part));
        match (word.as_str(), self.rest.peek()) {
            ("b" | "c", Some('"')) => {
                self.next();
                Token::Literal(self.string())
            }
            ("b", Some('\'')) => {
                self.next();
                self.character_or_lifetime();
                Token::Literal(String::new())
            }
            ("r" | "br" | "cr", Some('"' | '#')) => {
                let hashes = self.take_while(|next| next == '#').len();
                if self.take_if('"') {
                    Token::Literal(self.raw_string(hashes))
                } else {
                    // A raw identifier: `r#type`.
                    Token::Word(self.take_while(is_word_part))
                }
            }
            _ => Token::Word(word),
        }
    }
}

fn is_word_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_hold_no_words() {
        let source =
            "a // b\n/* c /* d */ e */ \"f \\\" g\" r#\"h \" i\"# 'j' '\\'' b'k' &'l m 'n: r#type";
        let words: Vec<String> = tokens(source)
            .into_iter()
            .filter_map(|located| located.token.word().map(String::from))
            .collect();
        assert_eq!(words, ["a", "m", "type"]);
    }

    #[test]
    fn lines_are_counted_through_texts() {
        let found = tokens("\"two\nlines\"\n/* three\n */ a::b");
        let last = found.last().expect("a token");
        assert_eq!((&last.token, last.line), (&Token::Word("b".into()), 4));
        assert!(found.iter().any(|located| located.token == Token::PathSeparator));
    }
}
