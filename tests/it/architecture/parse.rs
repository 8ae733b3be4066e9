//! Parses a source file and collects the items, imports and paths of its modules. Paths are not resolved, and test code
//! is ignored.

use std::collections::{BTreeSet, HashMap};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

/// A module: a file, or a `mod name { … }` in a file.
#[derive(Debug, Default)]
pub struct Module {
    /// The path of an inline module within its file. Empty for the file's own module.
    pub inline_path: Vec<String>,
    pub items: BTreeSet<String>,
    /// Identifiers in macro invocations and definitions, which may be names of items that a macro defines.
    pub macro_idents: BTreeSet<String>,
    /// Child modules declared with `mod name;`.
    pub child_files: Vec<String>,
    pub imports: Vec<Import>,
    pub paths: Vec<PathUse>,
    pub impls: Vec<Impl>,
}

/// A single import from a `use` tree.
#[derive(Debug)]
pub struct Import {
    /// The imported name. `None` for a glob, and for `as _`.
    pub name: Option<String>,
    pub glob: bool,
    /// Whether the `use` has a visibility, such as `pub` or `pub(crate)`.
    pub reexport: bool,
    pub path: PathUse,
}

/// A path as written, except that names imported by a `use` inside a function are expanded.
#[derive(Debug, Clone)]
pub struct PathUse {
    pub segments: Vec<String>,
    pub line: usize,
}

/// The type of an inherent `impl`, and the functions and constants that it defines.
#[derive(Debug)]
pub struct Impl {
    pub self_type: Vec<String>,
    pub names: Vec<String>,
}

/// Parses a file and returns its modules. The first one is the file's own module.
pub fn parse(text: &str) -> Result<Vec<Module>, syn::Error> {
    let file = syn::parse_file(text)?;
    let mut collector = Collector { modules: vec![Module::default()], current: 0, scopes: Vec::new(), self_type: None };
    for item in &file.items {
        collector.visit_item(item);
    }
    Ok(collector.modules)
}

/// What a name in a block refers to: an imported path, or an item that the block defines.
enum Local {
    Path(Vec<String>),
    Item,
}

struct Collector {
    modules: Vec<Module>,
    current: usize,
    /// The names that the enclosing blocks define or import, outermost block first. Empty at module level.
    scopes: Vec<HashMap<String, Local>>,
    /// The type of the enclosing `impl` block.
    self_type: Option<Vec<String>>,
}

impl Collector {
    fn module(&mut self) -> &mut Module {
        &mut self.modules[self.current]
    }

    /// Expands the first segment of a path if an enclosing block imports it. Returns `None` if a block defines it.
    fn expand(&self, mut segments: Vec<String>) -> Option<Vec<String>> {
        if segments[0] == "Self" {
            segments.splice(0..1, self.self_type.clone()?);
        }
        match self.scopes.iter().rev().find_map(|scope| scope.get(&segments[0])) {
            Some(Local::Item) => return None,
            Some(Local::Path(path)) => {
                segments.splice(0..1, path.iter().cloned());
            }
            None => {}
        }
        Some(segments)
    }

    fn mention(&mut self, segments: Vec<String>, line: usize) {
        if let Some(segments) = self.expand(segments) {
            self.module().paths.push(PathUse { segments, line });
        }
    }

    /// Returns the imports of a `use` item.
    fn imports(&self, item: &syn::ItemUse) -> Vec<Import> {
        if item.leading_colon.is_some() {
            return Vec::new();
        }
        let mut leaves = Vec::new();
        use_leaves(&item.tree, &mut Vec::new(), &mut leaves);
        let reexport = !matches!(item.vis, syn::Visibility::Inherited);
        let expanded = leaves.into_iter().filter_map(|leaf| {
            let path = PathUse { segments: self.expand(leaf.path.segments)?, line: leaf.path.line };
            Some(Import { reexport, path, ..leaf })
        });
        expanded.collect()
    }

    /// Finds paths in the tokens of macros and attributes, which `syn` does not parse.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Ident(first) => {
                    let start = at;
                    let mut segments = vec![first.to_string()];
                    while is_path_separator(&tokens, at + 1) {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                        segments.push(next.to_string());
                        at += 3;
                    }
                    if starts_path(&tokens, start) && (segments.len() > 1 || !is_key(&tokens, at)) {
                        self.mention(segments, first.span().start().line);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Finds paths in strings such as `#[serde(serialize_with = "path")]`.
    fn scan_serde_strings(&mut self, tokens: TokenStream) {
        const KEYS: &[&str] =
            &["default", "deserialize_with", "from", "into", "serialize_with", "skip_serializing_if", "try_from"];
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for window in tokens.windows(3) {
            let [TokenTree::Ident(key), TokenTree::Punct(equals), TokenTree::Literal(literal)] = window else {
                continue;
            };
            let key = key.to_string();
            let path = syn::parse_str::<syn::Path>(literal.to_string().trim_matches('"'));
            if let (Ok(path), '=', true) = (path, equals.as_char(), KEYS.contains(&key.as_str())) {
                self.mention(segments_of(&path), literal.span().start().line);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(item_attributes(item)) {
            return;
        }
        if self.scopes.is_empty() {
            if let Some(name) = item_name(item) {
                self.module().items.insert(name);
            }
            if let Item::Macro(item) = item {
                let defines = item.mac.path.is_ident("macro_rules");
                macro_idents(item.mac.tokens.clone(), defines, &mut self.module().macro_idents);
            }
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if self.scopes.is_empty() {
            let imports = self.imports(item);
            self.module().imports.extend(imports);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let Some((_, items)) = &item.content else {
            self.module().child_files.push(name);
            return;
        };
        let parent = self.current;
        let mut inline_path = self.modules[parent].inline_path.clone();
        inline_path.push(name);
        self.current = self.modules.len();
        self.modules.push(Module { inline_path, ..Module::default() });
        for item in items {
            self.visit_item(item);
        }
        self.current = parent;
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let self_type = match &*item.self_ty {
            syn::Type::Path(of) if of.qself.is_none() => Some(segments_of(&of.path)),
            _ => None,
        };
        if let (Some(self_type), None) = (self_type.clone(), &item.trait_) {
            let names = item.items.iter().filter_map(impl_item_name).collect();
            self.module().impls.push(Impl { self_type, names });
        }
        let outer = std::mem::replace(&mut self.self_type, self_type);
        visit::visit_item_impl(self, item);
        self.self_type = outer;
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let outer = self.self_type.take();
        visit::visit_item_trait(self, item);
        self.self_type = outer;
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let mut scope = HashMap::new();
        for statement in &block.stmts {
            match statement {
                syn::Stmt::Item(item) if is_test(item_attributes(item)) => {}
                syn::Stmt::Item(Item::Use(item)) => {
                    for import in self.imports(item) {
                        if let Some(name) = import.name {
                            scope.insert(name, Local::Path(import.path.segments.clone()));
                            self.module().paths.push(import.path);
                        } else {
                            self.module().imports.push(import);
                        }
                    }
                }
                syn::Stmt::Item(item) => scope.extend(item_name(item).map(|name| (name, Local::Item))),
                _ => {}
            }
        }
        self.scopes.push(scope);
        visit::visit_block(self, block);
        self.scopes.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.mention(segments_of(path), path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.visit_path(&mac.path);
        self.scan(mac.tokens.clone());
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // Ignore the path in `pub(in path)`, which is not a dependency.
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg") || list.path.is_ident("cfg_attr") => {}
            Meta::List(list) => {
                if list.path.is_ident("serde") {
                    self.scan_serde_strings(list.tokens.clone());
                }
                self.scan(list.tokens.clone());
            }
            Meta::NameValue(pair) if !pair.path.is_ident("doc") => self.visit_expr(&pair.value),
            Meta::NameValue(_) | Meta::Path(_) => {}
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        if !is_test(impl_item_attributes(item)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_test(&local.attrs) {
            visit::visit_local(self, local);
        }
    }
}

/// Collects the imports of a `use` tree.
fn use_leaves(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<Import>) {
    let (ident, renamed) = match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            use_leaves(&path.tree, prefix, leaves);
            prefix.pop();
            return;
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                use_leaves(tree, prefix, leaves);
            }
            return;
        }
        UseTree::Glob(glob) => {
            let path = PathUse { segments: prefix.clone(), line: glob.star_token.spans[0].start().line };
            leaves.push(Import { name: None, glob: true, reexport: false, path });
            return;
        }
        UseTree::Name(name) => (&name.ident, None),
        UseTree::Rename(rename) => (&rename.ident, Some(rename.rename.to_string())),
    };
    let mut segments = prefix.clone();
    if ident != "self" || segments.is_empty() {
        segments.push(ident.to_string());
    }
    let name = renamed.or_else(|| segments.last().cloned()).filter(|name| name != "_");
    let path = PathUse { segments, line: ident.span().start().line };
    leaves.push(Import { name, glob: false, reexport: false, path });
}

fn segments_of(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Reports whether an item has the attribute `#[cfg(test)]`, `#[cfg(all(test, …))]` or `#[test]`.
fn is_test(attributes: &[Attribute]) -> bool {
    fn needs_test(tokens: TokenStream) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        match tokens.as_slice() {
            [TokenTree::Ident(only)] => only == "test",
            [TokenTree::Ident(all), TokenTree::Group(group)] if all == "all" => {
                let arguments: Vec<TokenTree> = group.stream().into_iter().collect();
                arguments
                    .split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','))
                    .any(|part| needs_test(part.iter().cloned().collect()))
            }
            _ => false,
        }
    }
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && needs_test(list.tokens.clone()),
        Meta::NameValue(_) => false,
    })
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn item_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn impl_item_attributes(item: &syn::ImplItem) -> &[Attribute] {
    match item {
        syn::ImplItem::Const(item) => &item.attrs,
        syn::ImplItem::Fn(item) => &item.attrs,
        syn::ImplItem::Type(item) => &item.attrs,
        syn::ImplItem::Macro(item) => &item.attrs,
        _ => &[],
    }
}

fn impl_item_name(item: &syn::ImplItem) -> Option<String> {
    match item {
        syn::ImplItem::Const(item) => Some(item.ident.to_string()),
        syn::ImplItem::Fn(item) => Some(item.sig.ident.to_string()),
        _ => None,
    }
}

/// Collects the identifiers that may become item names: all of them in a macro invocation, but only those after `fn`,
/// `struct` and other keywords in a macro definition.
fn macro_idents(tokens: TokenStream, definition: bool, into: &mut BTreeSet<String>) {
    const KEYWORDS: &[&str] = &["const", "enum", "fn", "static", "struct", "trait", "type"];
    let mut named = !definition;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let ident = ident.to_string();
                let keyword = KEYWORDS.contains(&ident.as_str());
                if named && !keyword {
                    into.insert(ident);
                }
                named = !definition || keyword;
            }
            TokenTree::Group(group) => macro_idents(group.stream(), definition, into),
            _ => named = !definition,
        }
    }
}

/// Reports whether the tokens at a position are `::`.
fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => Some(punct.spacing()),
        _ => None,
    };
    colon(at) == Some(Spacing::Joint) && colon(at + 1).is_some()
}

/// Reports whether an identifier starts a path, rather than being a field, method, lifetime, macro variable or a name
/// after `::`.
fn starts_path(tokens: &[TokenTree], at: usize) -> bool {
    let TokenTree::Ident(ident) = &tokens[at] else { return false };
    match at.checked_sub(1).and_then(|before| tokens.get(before)) {
        Some(TokenTree::Punct(punct)) => match punct.as_char() {
            '.' => at >= 2 && matches!(&tokens[at - 2], TokenTree::Punct(dot) if dot.as_char() == '.'),
            '\'' => false,
            '$' => ident == "crate",
            ':' => !(at >= 2 && is_path_separator(tokens, at - 2)),
            _ => true,
        },
        _ => true,
    }
}

/// Reports whether the identifier at a position is the key of `key: value` or `key = value`.
fn is_key(tokens: &[TokenTree], at: usize) -> bool {
    match tokens.get(at + 1) {
        Some(TokenTree::Punct(punct)) => punct.spacing() == Spacing::Alone && matches!(punct.as_char(), ':' | '='),
        _ => false,
    }
}
