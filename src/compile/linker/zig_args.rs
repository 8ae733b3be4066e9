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
    /// Whether the compiler stops before linking.
    pub stops_before_linking: bool,
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
            } else if let Some(output) = arg.strip_prefix("-o") {
                adapted.output = Some(output.to_owned());
                adapted.args.push(arg);
            } else if arg == "-static-pie" {
                adapted.args.extend(["-static", "-pie"].map(str::to_owned));
            } else if let Some(options) = arg.strip_prefix("-Wl,") {
                adapted.add_linker_options(options);
            } else {
                adapted.stops_before_linking |= ["-c", "-S", "-E"].contains(&arg.as_str());
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

    /// Adapts the text of a response file: one argument per line, with backslashes before spaces and backslashes. These
    /// backslashes stay in the adapted arguments.
    pub(crate) fn adapt_response_file(text: &str) -> ZigArgs {
        let mut adapted = ZigArgs::adapt(text.lines().map(str::to_owned));
        adapted.output = adapted.output.as_deref().map(unescape);
        adapted
    }

    /// Adds what a response file requests to what the command line requests. The command line already refers to the file.
    pub(crate) fn merge(&mut self, response_file: ZigArgs) {
        self.output = response_file.output.or(self.output.take());
        self.strip_debug |= response_file.strip_debug;
        self.stops_before_linking |= response_file.stops_before_linking;
    }

    /// Returns the linked file, if debug information must be removed from it.
    pub(crate) fn file_to_strip(&self) -> Option<&str> {
        let is_requested = self.strip_debug && !self.stops_before_linking;
        is_requested.then(|| self.output.as_deref().unwrap_or("a.out"))
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
            stops_before_linking: false,
        };
        for (args, expected) in [
            ("a.o -o app", link("a.o -o app", false)),
            ("a.o -Wl,--strip-debug -o app", link("a.o -o app", true)),
            ("-Wl,-S,--as-needed -o app", link("-Wl,--as-needed -o app", true)),
            ("-oapp -Wl,-S", link("-oapp", true)),
            ("-Wl,--strip-all -o app", link("-Wl,--strip-all -o app", false)),
            ("-static-pie -o app", link("-static -pie -o app", false)),
            ("-static -no-pie -o app", link("-static -no-pie -o app", false)),
        ] {
            assert_eq!(ZigArgs::adapt(args.split(' ').map(str::to_owned)), expected, "{args}");
        }
    }

    #[test]
    fn only_linked_files_are_stripped() {
        for (args, expected) in [
            ("a.o -Wl,--strip-debug -o app", Some("app")),
            ("a.o -Wl,--strip-debug -oapp", Some("app")),
            ("a.o -Wl,--strip-debug", Some("a.out")),
            ("a.o -o app", None),
            ("a.c -Wl,--strip-debug -c -o a.o", None),
            ("a.c -Wl,--strip-debug -S", None),
            ("a.c -Wl,--strip-debug -E", None),
        ] {
            assert_eq!(ZigArgs::adapt(args.split(' ').map(str::to_owned)).file_to_strip(), expected, "{args}");
        }
    }

    #[test]
    fn response_files_keep_their_escapes() {
        let text = "my\\ file.o\n-o\n/my\\ target/a\\\\b\n-Wl,--strip-debug\n-static-pie";
        let file = ZigArgs::adapt_response_file(text);
        assert_eq!(file.args.join("\n"), "my\\ file.o\n-o\n/my\\ target/a\\\\b\n-static\n-pie");
        let mut args = ZigArgs::adapt(["@linker-arguments".to_owned()]);
        args.merge(file);
        assert_eq!(args.file_to_strip(), Some("/my target/a\\b"));
    }
}
