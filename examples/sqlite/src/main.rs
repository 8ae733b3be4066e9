//! Stores notes in an SQLite database in the working directory, which is a volume of the image.

use rusqlite::Connection;

fn main() -> rusqlite::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["check"] => {
            let memory = Connection::open_in_memory()?;
            let sum: i64 = memory.query_row("SELECT 40 + 2", [], |row| row.get(0))?;
            println!("SQLite {} on {} says {sum}", rusqlite::version(), std::env::consts::ARCH);
        }
        ["add", note] => {
            database()?.execute("INSERT INTO notes (note) VALUES (?1)", [note])?;
        }
        ["list"] => {
            let database = database()?;
            let mut query = database.prepare("SELECT id, note FROM notes ORDER BY id")?;
            for line in query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))? {
                let (id, note) = line?;
                println!("{id} {note}");
            }
        }
        _ => {
            eprintln!("usage: notes add NOTE | list | check");
            std::process::exit(2);
        }
    }
    Ok(())
}

fn database() -> rusqlite::Result<Connection> {
    let database = Connection::open("notes.db")?;
    database.execute_batch("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, note TEXT NOT NULL)")?;
    Ok(database)
}
