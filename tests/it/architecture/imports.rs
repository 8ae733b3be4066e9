//! Finds the names that each file uses from other files. Follows re-exports and globs to the file that defines a name.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::parse::{self, Module, PathUse};

/// The name by which the binary imports the library.
const CRATE: &str = "cargo_multiarch";

/// For each pair of files, the names that the first file uses from the second, with the line of their first use.
pub type Edges = BTreeMap<(String, String), BTreeMap<String, usize>>;

/// Finds all names that files use from each other. `sources` maps paths below `src` to the contents of the files.
pub fn edges(sources: &BTreeMap<String, String>) -> Edges {
    Tree::of(sources).edges()
}

type ModuleId = usize;

struct Node {
    file: String,
    module: Module,
    /// The root module of its crate.
    root: ModuleId,
    parent: Option<ModuleId>,
    children: HashMap<String, ModuleId>,
}

/// What a name or path refers to. This can be a module and an item at once, because a function can share its name with
/// a module.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Meaning {
    module: Option<ModuleId>,
    item: Option<Item>,
}

/// An item, identified by its name and the module that defines it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Item {
    module: ModuleId,
    name: String,
}

impl Meaning {
    fn is_nothing(&self) -> bool {
        *self == Meaning::default()
    }

    fn or(self, other: Meaning) -> Meaning {
        Meaning { module: self.module.or(other.module), item: self.item.or(other.item) }
    }
}

/// All modules, except those that contain only tests.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    library: Option<ModuleId>,
    /// Maps an item and the name of an associated function or constant to the module whose inherent `impl` defines it.
    impls: HashMap<(Item, String), ModuleId>,
    /// The imports through which at least one name was found, each as its module and its position in that module.
    used: RefCell<HashSet<(ModuleId, usize)>>,
}

impl Tree {
    fn of(sources: &BTreeMap<String, String>) -> Tree {
        let mut tree = Tree::default();
        let mut parsed = parse_all(sources);
        for root in ["lib.rs", "main.rs"] {
            if let Some(modules) = parsed.remove(root) {
                let id = tree.add_file(root, modules, None, "", &mut parsed);
                if root == "lib.rs" {
                    tree.library = Some(id);
                }
            }
        }
        tree.find_impls();
        tree
    }

    /// Adds a file's modules, and those of the child files that it declares in `directory`.
    fn add_file(
        &mut self,
        file: &str,
        modules: Vec<Module>,
        parent: Option<ModuleId>,
        directory: &str,
        parsed: &mut HashMap<String, Vec<Module>>,
    ) -> ModuleId {
        let first = self.nodes.len();
        for module in modules {
            let id = self.nodes.len();
            let parent = match module.inline_path.split_last() {
                None => parent,
                Some((name, outer)) => {
                    let outer = outer.iter().fold(first, |id, name| self.nodes[id].children[name]);
                    self.nodes[outer].children.insert(name.clone(), id);
                    Some(outer)
                }
            };
            let root = parent.map_or(id, |parent| self.nodes[parent].root);
            self.nodes.push(Node { file: file.to_owned(), module, root, parent, children: HashMap::new() });
        }
        for id in first..self.nodes.len() {
            let inline = self.nodes[id].module.inline_path.iter().map(|name| format!("{name}/")).collect::<String>();
            for child in self.nodes[id].module.child_files.clone() {
                let path = format!("{directory}{inline}{child}");
                let found = [format!("{path}.rs"), format!("{path}/mod.rs")]
                    .into_iter()
                    .find_map(|file| parsed.remove(&file).map(|modules| (file, modules)));
                let (file, modules) = found.unwrap_or_else(|| panic!("src/{file}: no file found for `mod {child}`"));
                let child_id = self.add_file(&file, modules, Some(id), &format!("{path}/"), parsed);
                self.nodes[id].children.insert(child, child_id);
            }
        }
        first
    }

    fn find_impls(&mut self) {
        for id in 0..self.nodes.len() {
            for found in &self.nodes[id].module.impls {
                let Some(item) = self.resolve(id, &found.self_type).item else { continue };
                for name in &found.names {
                    self.impls.insert((item.clone(), name.clone()), id);
                }
            }
        }
    }

    /// Resolves a name that a module uses. `visited` prevents infinite recursion in import cycles.
    fn lookup(&self, module: ModuleId, name: &str, visited: &mut HashSet<(ModuleId, String)>) -> Meaning {
        let node = &self.nodes[module];
        let item = |defined: bool| defined.then(|| Item { module, name: name.to_owned() });
        let mut meaning =
            Meaning { module: node.children.get(name).copied(), item: item(node.module.items.contains(name)) };
        if !visited.insert((module, name.to_owned())) {
            return meaning;
        }
        let imports = || node.module.imports.iter().enumerate();
        let mut bound = false;
        for (at, import) in imports().filter(|(_, import)| import.name.as_deref() == Some(name)) {
            bound = true;
            self.used.borrow_mut().insert((module, at));
            meaning = meaning.or(self.resolve_in(module, &import.path.segments, visited).0);
        }
        if bound || !meaning.is_nothing() {
            return meaning;
        }
        for (at, import) in imports().filter(|(_, import)| import.glob) {
            let target = self.resolve_in(module, &import.path.segments, visited).0.module;
            let found = target.map(|target| self.lookup(target, name, visited)).unwrap_or_default();
            if !found.is_nothing() {
                self.used.borrow_mut().insert((module, at));
            }
            meaning = meaning.or(found);
        }
        if meaning.is_nothing() {
            meaning.item = item(node.module.macro_idents.contains(name));
        }
        meaning
    }

    fn resolve(&self, from: ModuleId, path: &[String]) -> Meaning {
        self.resolve_in(from, path, &mut HashSet::new()).0
    }

    /// Resolves a path that a module uses. Also returns the segments after the item, such as the name of an enum's
    /// variant. If the path refers to another crate, the returned meaning is empty.
    fn resolve_in<'p>(
        &self,
        from: ModuleId,
        path: &'p [String],
        visited: &mut HashSet<(ModuleId, String)>,
    ) -> (Meaning, &'p [String]) {
        let mut rest = path;
        let mut current = Meaning::default();
        while let Some((first, others)) = rest.split_first() {
            let next = match (first.as_str(), current.module) {
                ("crate", None) => Meaning { module: Some(self.nodes[from].root), item: None },
                (CRATE, None) if self.nodes[from].root != self.library.unwrap_or(from) => {
                    Meaning { module: self.library, item: None }
                }
                ("self", None) => Meaning { module: Some(from), item: None },
                ("super", module) => Meaning { module: self.nodes[module.unwrap_or(from)].parent, item: None },
                (name, module) => self.lookup(module.unwrap_or(from), name, visited),
            };
            if next.is_nothing() {
                if current.item.is_some() {
                    return (Meaning { module: None, ..current }, rest);
                }
                // The module itself does not define the name, so a macro must define it.
                let item = current.module.map(|module| Item { module, name: first.clone() });
                return (Meaning { module: None, item }, others);
            }
            current = next;
            rest = others;
            if current.module.is_none() {
                break;
            }
        }
        (current, rest)
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (id, node) in self.nodes.iter().enumerate() {
            for path in &node.module.paths {
                self.add_path(id, path, &mut edges);
            }
            for import in node.module.imports.iter().filter(|import| !import.reexport) {
                // Skip glob imports of modules, because the names found through them are counted where they are used. A
                // glob import of an enum is itself a use of the enum.
                if !import.glob || self.resolve(id, &import.path.segments).module.is_none() {
                    self.add_path(id, &import.path, &mut edges);
                }
            }
        }
        // Add imported modules even if the file uses none of their names.
        for (id, node) in self.nodes.iter().enumerate() {
            for (at, import) in node.module.imports.iter().enumerate().filter(|(_, import)| !import.reexport) {
                let meaning = self.resolve(id, &import.path.segments);
                if let (Some(module), None) = (meaning.module, meaning.item)
                    && !self.used.borrow().contains(&(id, at))
                {
                    let name = import.path.segments.last().map_or("*", String::as_str);
                    self.add(id, module, name, import.path.line, &mut edges);
                }
            }
        }
        edges
    }

    /// Adds edges to the file that defines a path's item, and to the file that implements its associated function or
    /// constant.
    fn add_path(&self, from: ModuleId, path: &PathUse, edges: &mut Edges) {
        let (meaning, rest) = self.resolve_in(from, &path.segments, &mut HashSet::new());
        let Some(item) = meaning.item else { return };
        self.add(from, item.module, &item.name, path.line, edges);
        if let Some(associated) = rest.first() {
            let name = format!("{}::{associated}", item.name);
            if let Some(module) = self.impls.get(&(item, associated.clone())) {
                self.add(from, *module, &name, path.line, edges);
            }
        }
    }

    fn add(&self, from: ModuleId, to: ModuleId, name: &str, line: usize, edges: &mut Edges) {
        let (from, to) = (&self.nodes[from].file, &self.nodes[to].file);
        if from != to {
            let names = edges.entry((from.clone(), to.clone())).or_default();
            let first = names.entry(name.to_owned()).or_insert(line);
            *first = line.min(*first);
        }
    }
}

/// Parses all files in several threads. Each thread must process the `syn` types that it creates, because their line
/// numbers are stored per thread.
fn parse_all(sources: &BTreeMap<String, String>) -> HashMap<String, Vec<Module>> {
    let files: Vec<_> = sources.iter().filter(|(file, _)| file.ends_with(".rs")).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let read = |thread: usize| {
        let assigned = files.iter().skip(thread).step_by(threads);
        assigned
            .map(|(file, text)| {
                let modules = parse::parse(text).unwrap_or_else(|error| panic!("src/{file}: {error}"));
                ((*file).clone(), modules)
            })
            .collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || read(thread))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a line such as `a.rs -> b.rs: Name Other` for each pair of files.
    fn uses(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let line = |((from, to), names): ((String, String), BTreeMap<String, usize>)| {
            format!("{from} -> {to}: {}", names.into_keys().collect::<Vec<_>>().join(" "))
        };
        edges(&sources).into_iter().map(line).collect()
    }

    #[test]
    fn reexports_resolve_to_the_defining_file() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod inner; pub use inner::{Thing as Renamed, other}; pub mod deep;"),
            ("a/inner.rs", "pub use super::deep::Thing; pub fn other() {}"),
            ("a/deep.rs", "pub struct Thing;"),
            ("b.rs", "use crate::a::{Renamed, other};"),
        ];
        assert_eq!(uses(&files), ["b.rs -> a/deep.rs: Thing", "b.rs -> a/inner.rs: other"]);
    }

    #[test]
    fn globs_resolve_to_the_used_names() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "mod x; mod y; pub use x::*; pub use y::*;"),
            ("a/x.rs", "pub struct X; pub use super::*;"),
            ("a/y.rs", "pub struct Y; pub enum Kind { One } pub use super::*;"),
            ("b.rs", "use crate::a::*; fn b(_: Y, _: Unknown) {}"),
            ("c.rs", "use crate::a::Kind::*; fn c() -> X { One }"),
        ];
        assert_eq!(uses(&files), ["b.rs -> a/y.rs: Y", "c.rs -> a/y.rs: Kind"]);
    }

    #[test]
    fn paths_without_imports_are_found() {
        let files = [
            ("lib.rs", "mod a; mod b; fn run() { b::run(); }"),
            ("a/mod.rs", "mod c; pub fn up() {} pub struct Up;"),
            ("a/c/mod.rs", "mod d; pub fn here() {}"),
            (
                "a/c/d.rs",
                "fn d(_: super::super::Up) { super::here(); self::e::e() } mod e { pub fn e() { super::super::super::up() } }",
            ),
            ("b.rs", "pub fn run() -> Vec<crate::a::Up> { <crate::a::Up as Default>::default() }"),
        ];
        assert_eq!(
            uses(&files),
            [
                "a/c/d.rs -> a/c/mod.rs: here",
                "a/c/d.rs -> a/mod.rs: Up up",
                "b.rs -> a/mod.rs: Up",
                "lib.rs -> b.rs: run"
            ]
        );
    }

    #[test]
    fn imported_modules_resolve_to_the_used_names() {
        let files = [
            ("lib.rs", "mod plan; mod b; mod c; mod d; mod e;"),
            ("plan/mod.rs", "mod resolve; pub use resolve::resolve; pub mod git; use git as private; pub struct Plan;"),
            ("plan/resolve.rs", "use super::private; pub fn resolve() { private::commit() }"),
            ("plan/git.rs", "pub fn commit() {}"),
            ("b.rs", "use crate::plan; fn b() { plan::resolve() }"),
            ("c.rs", "use crate::plan::{self as p, git}; fn c() { git::commit(); p::git::commit(); let _: p::Plan; }"),
            ("d.rs", "use crate::plan::git;"),
            ("e.rs", "use crate::plan; use plan::git; fn e() { git::commit() }"),
        ];
        assert_eq!(
            uses(&files),
            [
                "b.rs -> plan/resolve.rs: resolve",
                "c.rs -> plan/git.rs: commit",
                "c.rs -> plan/mod.rs: Plan",
                "d.rs -> plan/git.rs: git",
                "e.rs -> plan/git.rs: commit",
                "plan/resolve.rs -> plan/git.rs: commit",
            ]
        );
    }

    #[test]
    fn reexported_names_are_used_only_if_mentioned() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "mod c; pub use c::C; pub(crate) use c::D;"),
            ("a/c.rs", "pub struct C; pub struct D;"),
            ("b.rs", "mod c; pub use c::C; fn b(_: C) {}"),
            ("b/c.rs", "pub struct C;"),
        ];
        assert_eq!(uses(&files), ["b.rs -> b/c.rs: C"]);
    }

    #[test]
    fn test_code_is_ignored() {
        let files = [
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod support;"),
            ("a.rs", "pub fn a() {} pub struct A;"),
            (
                "b.rs",
                "#[cfg(test)] use crate::a::a;
                 #[cfg(all(unix, test))] fn c() { crate::a::a() }
                 #[cfg_attr(test, derive(crate::a::A))] struct B { #[cfg(test)] a: crate::a::A }
                 impl B { #[cfg(test)] fn a() { crate::a::a() } }
                 #[cfg(test)] mod tests { use crate::a::*; fn t() { a() } }
                 #[cfg(test)] mod more;",
            ),
            ("b/more.rs", "use crate::a::A;"),
            ("support.rs", "use crate::a::A;"),
        ];
        assert!(uses(&files).is_empty(), "{:?}", uses(&files));
        let files = [("lib.rs", "mod a; #[cfg(not(test))] use a::a;"), ("a.rs", "pub fn a() {}")];
        assert_eq!(uses(&files), ["lib.rs -> a.rs: a"]);
    }

    #[test]
    fn imports_and_items_in_functions_shadow_outer_names() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "pub mod x; pub fn a() {} pub enum Kind { One }"),
            ("a/x.rs", "pub fn x() {} pub fn y() {}"),
            (
                "b.rs",
                "use crate::a::*;
                 fn f() { use crate::a::x as other; { use other::y; y() } other::x() }
                 fn g() { fn a() {} a() }
                 fn h() { use Kind::One; One }",
            ),
        ];
        assert_eq!(uses(&files), ["b.rs -> a.rs: Kind", "b.rs -> a/x.rs: x y"]);
    }

    #[test]
    fn paths_in_macros_and_attributes_are_found() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            (
                "a.rs",
                "pub fn one() {} pub fn two() {} pub fn three() {} pub fn four() {} pub struct S { pub field: u8 }",
            ),
            (
                "b.rs",
                r#"use crate::a;
                use crate::a::*;
                fn b(x: X) { println!("{}", [a::one(), S]); assert!(x.three < y.a::<u8>(), "{four}", four = ::a::four()); }
                #[derive(Args)]
                struct Options { #[arg(long, value_parser = a::two)] #[serde(with = "a", default = "crate::a::three")] x: u8 }"#,
            ),
            ("c.rs", "fn c() { matches!(x, $crate::a::S { field: 1..=2 }) }"),
        ];
        assert_eq!(uses(&files), ["b.rs -> a.rs: S one three two", "c.rs -> a.rs: S"]);
    }

    #[test]
    fn names_defined_by_a_macro_belong_to_its_file() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", "mod codes; pub use codes::*;"),
            (
                "a/codes.rs",
                "macro_rules! codes { ($($name:ident)*) => { $(pub const $name: u8 = 1;)* pub static ALL: &[u8] = &[]; } }
                 codes! { FIRST SECOND }",
            ),
            ("b.rs", "use crate::a::{ALL, SECOND};"),
        ];
        assert_eq!(uses(&files), ["b.rs -> a/codes.rs: ALL SECOND"]);
    }

    #[test]
    fn associated_functions_resolve_to_their_impl() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "pub struct Error; impl Error { pub fn new() -> Self { Self::explain() } }"),
            ("b.rs", "use crate::a::Error; impl Error { pub fn explain() {} }"),
            ("c.rs", "use crate::a::Error; fn c() { Error::new(); Error::explain(); }"),
        ];
        assert_eq!(
            uses(&files),
            [
                "a.rs -> b.rs: Error::explain",
                "b.rs -> a.rs: Error",
                "c.rs -> a.rs: Error Error::new",
                "c.rs -> b.rs: Error::explain",
            ]
        );
    }

    #[test]
    fn a_module_and_a_function_may_share_a_name() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a/mod.rs", "pub mod schema; pub use schema::schema;"),
            ("a/schema.rs", "pub fn schema() {} pub fn other() {}"),
            ("b.rs", "use crate::a::schema; fn b() { schema() }"),
            ("c.rs", "use crate::a; fn c() { a::schema::other() }"),
        ];
        assert_eq!(uses(&files), ["b.rs -> a/schema.rs: schema", "c.rs -> a/schema.rs: other"]);
    }

    #[test]
    fn binary_imports_the_library_by_name() {
        let files = [
            ("lib.rs", "mod a; pub use a::run;"),
            ("a.rs", "pub fn run() {}"),
            ("main.rs", "mod cli; fn main() { cargo_multiarch::run(crate::cli::X) }"),
            ("cli.rs", "pub struct X;"),
        ];
        assert_eq!(uses(&files), ["main.rs -> a.rs: run", "main.rs -> cli.rs: X"]);
    }

    #[test]
    fn other_crates_and_visibilities_are_ignored() {
        let files = [
            ("lib.rs", "mod a; mod serde;"),
            ("a/mod.rs", "mod b; mod c; pub fn fmt() {} pub struct Path;"),
            ("a/c.rs", "use super::*; use std::path::Path; fn c(_: &Path, _: Fmt) { use std::fmt; fmt() }"),
            (
                "a/b.rs",
                "use std::fmt; use ::serde::Serialize; pub(in crate::a) struct B; fn b() -> fmt::Result { ::serde::x() }",
            ),
            ("serde.rs", "pub struct Serialize; pub fn x() {}"),
        ];
        // The glob import in a/c.rs resolves no names, so the import itself is listed.
        assert_eq!(uses(&files), ["a/c.rs -> a/mod.rs: super"]);
    }

    #[test]
    fn lines_are_of_the_first_use() {
        let text = "use crate::{\n    a::A,\n    a::B,\n};\nfn f(_: A) {}\n";
        let sources = [("lib.rs", "mod a; mod b;"), ("a.rs", "pub struct A; pub struct B;"), ("b.rs", text)];
        let sources = sources.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
        let names = BTreeMap::from([("A".to_owned(), 2), ("B".to_owned(), 3)]);
        assert_eq!(edges(&sources), Edges::from([(("b.rs".to_owned(), "a.rs".to_owned()), names)]));
    }
}
