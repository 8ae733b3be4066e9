//! Adapts rustc's linker arguments to `zig cc`, which treats some of them differently from gcc and clang.

/// The arguments of a link, and what they request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ZigArgs {
    /// The arguments for zig.
    pub args: Vec<String>,
    /// The output file, if the arguments name one.
    pub output: Option<String>,
    /// Whether debug information must be removed from the output. zig would remove symbols as well.
    pub strip_debug: bool,
}

impl ZigArgs {
    /// Adapts arguments: removes `--strip-debug`, and replaces `-static-pie`, which zig ignores.
    pub(crate) fn adapt(args: impl IntoIterator<Item = String>) -> ZigArgs {
        let mut adapted = ZigArgs::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == "-o" {
                adapted.output = args.next();
                adapted.args.push(arg);
                adapted.args.extend(adapted.output.clone());
            } else if arg == "-static-pie" {
                adapted.args.extend(["-static", "-pie"].map(str::to_owned));
            } else if let Some(options) = arg.strip_prefix("-Wl,") {
                adapted.add_linker_options(options);
            } else {
                adapted.args.push(arg);
            }
        }
        adapted
    }

    fn add_linker_options(&mut self, options: &str) {
        let all: Vec<&str> = options.split(',').collect();
        let kept: Vec<&str> = all.iter().filter(|option| !["--strip-debug", "-S"].contains(option)).copied().collect();
        self.strip_debug |= kept.len() < all.len();
        if !kept.is_empty() {
            self.args.push(format!("-Wl,{}", kept.join(",")));
        }
    }

    /// Adapts the text of a response file: one argument per line, with backslashes before spaces and backslashes.
    /// Returns the new text in the first field of the result.
    pub(crate) fn adapt_response_file(text: &str) -> (String, ZigArgs) {
        let mut adapted = ZigArgs::adapt(text.lines().map(str::to_owned));
        adapted.output = adapted.output.as_deref().map(unescape);
        (std::mem::take(&mut adapted.args).join("\n"), adapted)
    }

    /// Adds the arguments of a response file to those of the command line.
    pub(crate) fn merge(&mut self, response_file: ZigArgs) {
        self.output = response_file.output.or(self.output.take());
        self.strip_debug |= response_file.strip_debug;
    }
}

fn unescape(line: &str) -> String {
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        text.push(if char == '\\' { chars.next().unwrap_or(char) } else { char });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zig_keeps_symbols_and_links_position_independent_executables() {
        let link = |args: &str, strip_debug| ZigArgs {
            args: args.split_whitespace().map(str::to_owned).collect(),
            output: Some("app".to_owned()),
            strip_debug,
        };
        for (args, expected) in [
            ("a.o -o app", link("a.o -o app", false)),
            ("a.o -Wl,--strip-debug -o app", link("a.o -o app", true)),
            ("-Wl,-S,--as-needed -o app", link("-Wl,--as-needed -o app", true)),
            ("-Wl,--strip-all -o app", link("-Wl,--strip-all -o app", false)),
            ("-static-pie -o app", link("-static -pie -o app", false)),
            ("-static -no-pie -o app", link("-static -no-pie -o app", false)),
        ] {
            assert_eq!(ZigArgs::adapt(args.split(' ').map(str::to_owned)), expected, "{args}");
        }
        let compile = ZigArgs::adapt(["-c".to_owned(), "-S".to_owned()]);
        assert_eq!((compile.output, compile.strip_debug), (None, false));
    }

    #[test]
    fn response_files_keep_their_escapes() {
        let text = "my\\ file.o\n-o\n/my\\ target/a\\\\b\n-Wl,--strip-debug\n-static-pie";
        let (adapted, file) = ZigArgs::adapt_response_file(text);
        assert_eq!(adapted, "my\\ file.o\n-o\n/my\\ target/a\\\\b\n-static\n-pie");
        let mut args = ZigArgs::adapt(["@linker-arguments".to_owned()]);
        args.merge(file);
        assert_eq!(args.output.as_deref(), Some("/my target/a\\b"));
        assert!(args.strip_debug);
    }
}
