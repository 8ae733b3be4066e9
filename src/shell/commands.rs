//! Splits a shell script into its simple commands: words, quotes, here-documents and separators (POSIX.1-2024, XCU 2.2 to
//! 2.9; bash(1)).

/// A simple command (POSIX.1-2024, XCU 2.9.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SimpleCommand {
    pub words: Vec<String>,
    pub separator: Separator,
    /// The command is followed by `&`.
    pub in_background: bool,
    /// The command is a function's name before its `()`.
    pub is_function_name: bool,
}

/// What separates a command from the one before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// The end of a line, `;`, `&`, or a bracket.
    #[default]
    Next,
    And,
    Or,
    Pipe,
}

impl SimpleCommand {
    /// Returns the name of the function whose definition starts here.
    pub(crate) fn defined_function(&self) -> Option<&str> {
        match self.words.as_slice() {
            [keyword, name, ..] if keyword == "function" => Some(name),
            [name] if self.is_function_name => Some(name),
            _ => None,
        }
    }
}

/// Returns the simple commands of a script, in the order in which they are written.
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
    /// The word that is being read; a quoted one may be empty.
    word: Option<String>,
    /// Number of subshells that are not closed yet. Their brackets are returned as `{` and `}`.
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
                // bash's `<<<` has its text in the next word.
                '<' if self.chars[self.position..].starts_with(&['<', '<']) => {
                    self.end_word();
                    self.position += 2;
                    self.word = Some("<<<".to_owned());
                    self.end_word();
                }
                '<' if self.peek() == Some('<') => self.heredoc(),
                // What `$( )` holds is a matter of the expansion.
                '$' if self.peek() == Some('(') => {
                    self.push('$');
                    self.balanced(0);
                }
                // bash's list of words.
                '(' if self.word.as_deref().is_some_and(|word| word.ends_with('=')) => {
                    self.push('(');
                    self.balanced(1);
                }
                // `2>&1` and `&>file` are words of redirections.
                '&' if self.word.as_deref().is_some_and(|word| word.ends_with(['>', '<']))
                    || self.peek() == Some('>') =>
                {
                    self.push('&');
                }
                '(' => self.open_bracket(),
                // Without the other it ends a pattern of `case`.
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

    /// Reads what follows a `(`: the `)` of a function's definition, or a subshell.
    fn open_bracket(&mut self) {
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

    /// Reads `&`, `&&`, `|` or `||`, of which `first` was read already.
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
            // A line may end after `&&`.
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

    /// All up to the bracket that closes the first, or those that are open.
    fn balanced(&mut self, mut depth: i32) {
        while let Some(c) = self.next() {
            self.push(c);
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth == 0 {
                return;
            }
        }
    }

    /// Leaves out the lines of a here-document, up to the word that ends it.
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
