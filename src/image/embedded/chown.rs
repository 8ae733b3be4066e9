//! Who owns what COPY and WORKDIR make: `user[:group]`, in numbers or in names of the image's own files, as BuildKit reads
//! them (its `llb.WithUser`, and `solver/llbsolver/file/user_linux.go`). Pure.

use crate::dockerfile::error::StageError;
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs};

/// User and group in numbers. A user alone brings the group of `/etc/passwd`, or else the group of its own number.
pub fn numbers(owner: &str, tree: &RootFs) -> Result<(u64, u64), StageError> {
    let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let (uid, gid) = match number(user)? {
        Some(number) => (number, number),
        None => match find(tree, "/etc/passwd", user)?[..] {
            [uid, gid, ..] => (uid, gid),
            _ => return StageError::wrong(format!("/etc/passwd has no numbers for '{user}'")),
        },
    };
    let Some(group) = group else { return Ok((uid, gid)) };
    let gid = match number(group)? {
        Some(number) => number,
        None => find(tree, "/etc/group", group)?.first().copied().unwrap_or_default(),
    };
    Ok((uid, gid))
}

/// What stands for a number: nothing and `root` are 0, and what is no number is a name.
fn number(word: &str) -> Result<Option<u64>, StageError> {
    match word.parse::<i32>() {
        Ok(number) => {
            u64::try_from(number).map(Some).or_else(|_| StageError::wrong(format!("'{word}' is no user or group")))
        }
        Err(_) => Ok(matches!(word, "" | "root").then_some(0)),
    }
}

/// The numbers behind a name in a file of lines like `name:x:1:2` (passwd(5), group(5)).
fn find(tree: &RootFs, file: &str, name: &str) -> Result<Vec<u64>, StageError> {
    let text = match tree.get(&tree.resolve(file).map_err(StageError::Wrong)?) {
        Some(FsNode::File(RegularFile { content: FileContent::Text(text), .. })) => text,
        None => return StageError::wrong(format!("the image has no {file} that says who '{name}' is")),
        Some(_) => return StageError::beyond(format!("names of a {file} that is no plain file")),
    };
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let line = line.ok_or_else(|| StageError::Wrong(format!("'{name}' is not in the image's {file}")))?;
    Ok(line.split(':').skip(1).map_while(|field| field.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> FsNode {
        FsNode::File(RegularFile { content: FileContent::Text(text.to_owned()), ..RegularFile::default() })
    }

    #[test]
    fn names_and_numbers() {
        let mut tree = RootFs::default();
        tree.insert("etc/passwd", file("root:x:0:0::/:\nbobby:x:1:1\nbob:x:7:8:b:/:/x\nodd:x\n"));
        tree.insert("etc/group", file("staff:x:50:\n"));
        for (owner, found) in [
            ("bob", Ok((7, 8))),
            ("5", Ok((5, 5))),
            ("5:6", Ok((5, 6))),
            ("bob:staff", Ok((7, 50))),
            ("bob:99", Ok((7, 99))),
            ("bob:", Ok((7, 0))),
            (":9", Ok((0, 9))),
            (":staff", Ok((0, 50))),
            ("root:root", Ok((0, 0))),
            ("nosuch", Err("'nosuch' is not in the image's /etc/passwd")),
            ("5:bob", Err("'bob' is not in the image's /etc/group")),
            ("3000000000", Err("'3000000000' is not in the image's /etc/passwd")),
            ("-1", Err("'-1' is no user or group")),
            ("odd", Err("/etc/passwd has no numbers for 'odd'")),
        ] {
            assert_eq!(
                numbers(owner, &tree),
                found.map_err(|what: &str| StageError::Wrong(what.to_owned())),
                "{owner}"
            );
        }
        tree.insert("etc/passwd", FsNode::Other);
        let beyond = StageError::Beyond("names of a /etc/passwd that is no plain file".to_owned());
        assert_eq!(numbers("bob", &tree), Err(beyond));
        tree.insert("etc/passwd", FsNode::Link("../passwd".to_owned()));
        assert_eq!(numbers("bob", &tree), StageError::wrong("the image has no /etc/passwd that says who 'bob' is"));
    }
}
