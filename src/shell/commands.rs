//! The simple commands of a shell script: words, quotes, here-documents and what joins them (POSIX.1-2024, XCU 2.2 to
//! 2.9; bash(1)). Pure.

/// A simple command.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub words: Vec<String>,
    pub joint: Joint,
    /// `&` follows it.
    pub in_background: bool,
    /// It is the name of a function, before its `()`.
    pub is_function: bool,
}

/// What stands between a command and the one before it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// A line's end, `;`, `&`, or a bracket.
    #[default]
    Next,
    And,
    Or,
    Pipe,
}

impl Command {
    /// The function that it begins to define.
    pub fn function(&self) -> Option<&str> {
        match self.words.as_slice() {
            [function, name, ..] if function == "function" => Some(name),
            [name] if self.is_function => Some(name),
            _ => None,
        }
    }
}

/// The simple commands of a script, in the order in which they are written.
pub fn commands(script: &str) -> Vec<Command> {
    let mut reader =
        Reader { chars: script.chars().collect(), at: 0, commands: vec![Command::default()], word: None, open: 0 };
    reader.read();
    reader.commands.retain(|command| !command.words.is_empty());
    reader.commands
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    commands: Vec<Command>,
    /// The word that is being read; a quoted one may be empty.
    word: Option<String>,
    /// Subshells that are not closed; to whoever reads the commands they are like `{ }`.
    open: usize,
}

impl Reader {
    fn read(&mut self) {
        while let Some(c) = self.next() {
            match c {
                ' ' | '\t' | '\r' => self.end_word(),
                '#' if self.word.is_none() => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1
                    }
                }
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push(c),
                },
                '\'' => self.quoted('\''),
                '"' => self.quoted('"'),
                // bash's `<<<` has its text in the next word.
                '<' if self.chars[self.at..].starts_with(&['<', '<']) => {
                    self.end_word();
                    self.at += 2;
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
                '(' => {
                    self.end_word();
                    let rest = self.chars[self.at..].iter().find(|c| !matches!(c, ' ' | '\t'));
                    match self.commands.last_mut() {
                        Some(command) if rest == Some(&')') => command.is_function = command.words.len() == 1,
                        _ => {
                            self.open += 1;
                            self.end_command(Joint::Next);
                            self.push('{');
                        }
                    }
                    self.end_command(Joint::Next);
                }
                // Without the other it ends a pattern of `case`.
                ')' if self.open > 0 => {
                    self.open -= 1;
                    self.end_command(Joint::Next);
                    self.push('}');
                    self.end_command(Joint::Next);
                }
                '\n' | ';' | ')' => self.end_command(Joint::Next),
                '&' | '|' => {
                    let joint = match (c, self.peek()) {
                        ('&', Some('&')) => Joint::And,
                        ('|', Some('|')) => Joint::Or,
                        ('|', _) => Joint::Pipe,
                        _ => Joint::Next,
                    };
                    if self.peek() == Some(c) {
                        self.at += 1;
                    }
                    self.end_word();
                    if let Some(command) = self.commands.last_mut() {
                        command.in_background = (c, joint) == ('&', Joint::Next);
                    }
                    self.end_command(joint);
                }
                c => self.push(c),
            }
        }
        self.end_word();
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn end_word(&mut self) {
        if let (Some(word), Some(command)) = (self.word.take(), self.commands.last_mut()) {
            command.words.push(word);
        }
    }

    fn end_command(&mut self, joint: Joint) {
        self.end_word();
        match self.commands.last_mut() {
            // A line may end after `&&`.
            Some(empty) if empty.words.is_empty() && joint == Joint::Next => {}
            Some(empty) if empty.words.is_empty() => empty.joint = joint,
            _ => self.commands.push(Command { joint, ..Command::default() }),
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
        self.at += 1;
        let rest: String = self.chars[self.at..].iter().collect();
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
        self.at = (self.at + length).min(self.chars.len());
        self.end_word();
    }
}
