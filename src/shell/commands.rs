//! Splits shell scripts into simple commands. Handles quotes, here-documents and separators (POSIX.1-2024, XCU 2.2 to
//! 2.9; bash(1)).

/// A simple command (POSIX.1-2024, XCU 2.9.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SimpleCommand {
    pub words: Vec<String>,
    pub separator: Separator,
    /// Whether the command is followed by `&`.
    pub in_background: bool,
    /// Whether the command is the name in a function definition, followed by `()`.
    pub is_function_name: bool,
}

/// The separator between a command and the preceding one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// A line break, `;`, `&` or a parenthesis.
    #[default]
    Next,
    And,
    Or,
    Pipe,
}

impl SimpleCommand {
    /// Returns the name of the function if this command starts a function definition.
    pub(crate) fn defined_function(&self) -> Option<&str> {
        match self.words.as_slice() {
            [keyword, name, ..] if keyword == "function" => Some(name),
            [name] if self.is_function_name => Some(name),
            _ => None,
        }
    }
}

/// Returns the simple commands of a script, in source order.
pub(crate) fn simple_commands(script: &str) -> Vec<SimpleCommand> {
    let mut tokenizer = Tokenizer {
        chars: script.chars().collect(),
        position: 0,
        commands: vec![SimpleCommand::default()],
        word: None,
        open_subshells: 0,
    };
    tokenizer.read();
    tokenizer.commands.retain(|command| !command.words.is_empty());
    tokenizer.commands
}

struct Tokenizer {
    chars: Vec<char>,
    position: usize,
    commands: Vec<SimpleCommand>,
    /// The current word, which may be an empty quoted word. `None` between words.
    word: Option<String>,
    /// Number of open subshells. Their parentheses are returned as `{` and `}`.
    open_subshells: usize,
}

impl Tokenizer {
    fn read(&mut self) {
        while let Some(c) = self.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '#' if self.word.is_none() => self.comment(),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push(c),
                },
                '\'' => self.quoted('\''),
                '"' => self.quoted('"'),
                // In bash, the text after `<<<` is a single word.
                '<' if self.chars[self.position..].starts_with(&['<', '<']) => {
                    self.end_word();
                    self.position += 2;
                    self.word = Some("<<<".to_owned());
                    self.end_word();
                }
                '<' if self.peek() == Some('<') => self.heredoc(),
                // Keep the contents of `$( )` as part of the word.
                '$' if self.peek() == Some('(') => {
                    self.push('$');
                    self.balanced(0);
                }
                // An array in bash, such as `args=(a b)`.
                '(' if self.word.as_deref().is_some_and(|word| word.ends_with('=')) => {
                    self.push('(');
                    self.balanced(1);
                }
                // Redirections such as `2>&1` and `&>file` are words.
                '&' if self.word.as_deref().is_some_and(|word| word.ends_with(['>', '<']))
                    || self.peek() == Some('>') =>
                {
                    self.push('&');
                }
                '(' => self.open_parenthesis(),
                // A `)` outside a subshell ends a `case` pattern.
                ')' if self.open_subshells > 0 => {
                    self.open_subshells -= 1;
                    self.end_command(Separator::Next);
                    self.push('}');
                    self.end_command(Separator::Next);
                }
                '\n' | ';' | ')' => self.end_command(Separator::Next),
                '&' | '|' => self.operator(c),
                c => self.push(c),
            }
        }
        self.end_word();
    }

    fn comment(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.position += 1;
        }
    }

    /// Handles a `(`, which is part of a function definition or opens a subshell.
    fn open_parenthesis(&mut self) {
        self.end_word();
        let following = self.chars[self.position..].iter().find(|c| !matches!(c, ' ' | '\t'));
        match self.commands.last_mut() {
            Some(command) if following == Some(&')') => command.is_function_name = command.words.len() == 1,
            _ => {
                self.open_subshells += 1;
                self.end_command(Separator::Next);
                self.push('{');
            }
        }
        self.end_command(Separator::Next);
    }

    /// Reads the operator `&`, `&&`, `|` or `||` after its first character.
    fn operator(&mut self, first: char) {
        let separator = match (first, self.peek()) {
            ('&', Some('&')) => Separator::And,
            ('|', Some('|')) => Separator::Or,
            ('|', _) => Separator::Pipe,
            _ => Separator::Next,
        };
        if self.peek() == Some(first) {
            self.position += 1;
        }
        self.end_word();
        if let Some(command) = self.commands.last_mut() {
            command.in_background = (first, separator) == ('&', Separator::Next);
        }
        self.end_command(separator);
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.position).copied()
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        if let (Some(word), Some(command)) = (self.word.take(), self.commands.last_mut()) {
            command.words.push(word);
        }
    }

    fn end_command(&mut self, separator: Separator) {
        self.end_word();
        match self.commands.last_mut() {
            // Ignore line breaks after operators such as `&&`.
            Some(empty) if empty.words.is_empty() && separator == Separator::Next => {}
            Some(empty) if empty.words.is_empty() => empty.separator = separator,
            _ => self.commands.push(SimpleCommand { separator, ..SimpleCommand::default() }),
        }
    }

    fn quoted(&mut self, quote: char) {
        self.word.get_or_insert_default();
        while let Some(c) = self.next() {
            match c {
                c if c == quote => return,
                '\\' if quote == '"' => {
                    if let Some(c) = self.next().filter(|c| *c != '\n') {
                        self.push(c);
                    }
                }
                c => self.push(c),
            }
        }
    }

    /// Appends text to the current word until the number of open parentheses, starting at `depth`, drops to 0.
    fn balanced(&mut self, mut depth: i32) {
        while let Some(c) = self.next() {
            self.push(c);
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips a here-document, including its delimiter.
    fn heredoc(&mut self) {
        self.position += 1;
        let rest: String = self.chars[self.position..].iter().collect();
        let line = rest.split('\n').next().unwrap_or_default();
        let word: String =
            line.trim_start_matches(['-', '<', ' ']).chars().take_while(|c| !c.is_whitespace() && *c != ';').collect();
        let end = word.trim_matches(['\'', '"', '\\']);
        let mut length = line.chars().count();
        for body in rest.split('\n').skip(1) {
            length += 1 + body.chars().count();
            if body.trim_start_matches('\t') == end {
                break;
            }
        }
        self.position = (self.position + length).min(self.chars.len());
        self.end_word();
    }
}
