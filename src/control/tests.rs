//! Both ends over real sockets.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::*;
use crate::domain::command::{Command, CommandAnswer};

const PATIENCE: Duration = Duration::from_secs(20);

/// A directory as the store makes it.
fn state_dir() -> tempfile::TempDir {
    let private = fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().unwrap()
}

fn answer(text: &str) -> CommandAnswer {
    CommandAnswer { ok: true, text: text.to_owned(), data: serde_json::json!({ "n": 1 }) }
}

/// A daemon that answers everything at once, and the commands it saw.
struct Daemon {
    folder: tempfile::TempDir,
    server: Server,
    seen: Receiver<Command>,
}

impl Daemon {
    fn new() -> Daemon {
        let folder = state_dir();
        let (tell, seen) = unbounded();
        let server = Server::open(&folder.path().join(SOCKET_NAME), PATIENCE, move |command| {
            tell.send(command).unwrap();
            let (sender, receiver) = bounded(1);
            sender.send(answer("done")).unwrap();
            receiver
        })
        .unwrap();
        Daemon { folder, server, seen }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET_NAME)
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What the daemon says to these bytes; empty when it hangs up without a word.
    fn says_to(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may hang up before it has read everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut line = String::new();
        let _ = BufReader::new(stream).read_line(&mut line);
        line
    }

    fn is_alive(&self) -> bool {
        ask(&self.socket(), &Command::Status, PATIENCE).is_ok_and(|answer| answer.ok)
            && self.seen.recv_timeout(PATIENCE) == Ok(Command::Status)
    }
}

/// A server whose answers the test gives itself.
fn held(folder: &Path, answer_wait: Duration) -> (Server, Receiver<(Command, Sender<CommandAnswer>)>) {
    let (tell, asked) = unbounded();
    let server = Server::open(&folder.join(SOCKET_NAME), answer_wait, move |command| {
        let (sender, receiver) = bounded(1);
        tell.send((command, sender)).unwrap();
        receiver
    });
    (server.unwrap(), asked)
}

#[test]
fn a_command_goes_in_and_its_answer_comes_out() {
    let daemon = Daemon::new();
    for command in [Command::CancelAll, Command::Pause { keep_orders: true }, Command::Stop] {
        assert_eq!(ask(&daemon.socket(), &command, PATIENCE).unwrap(), answer("done"));
        assert_eq!(daemon.seen.recv_timeout(PATIENCE), Ok(command));
    }
    let closing = daemon.server.close(PATIENCE);
    assert!(closing.ok && closing.late.is_empty());
    assert_eq!(closing.joined as usize, server::N_THREADS);
}

#[test]
fn only_the_same_user_can_get_at_the_socket() {
    let daemon = Daemon::new();
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(daemon);
    let folder = state_dir();
    for mode in [0o755, 0o710, 0o701] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = Server::open(&folder.path().join(SOCKET_NAME), PATIENCE, |_| bounded(1).1);
        assert!(matches!(refused, Err(OpenError::DirectoryOpen { .. })), "{mode:o}");
    }
}

#[test]
fn hostile_lines_have_no_effect_and_the_server_lives() {
    let daemon = Daemon::new();
    let oversize = format!("{{\"command\":\"stop\",\"x\":\"{}\"}}\n", "y".repeat(COMMAND_BYTES_MAX));
    let cases: Vec<(&[u8], &str)> = vec![
        (b"\0\xff\xfe\x80garbage\n", "nothing was done"),
        (b"\n", "nothing was done"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "nothing was done"),
        (b"{\"command\":\"stop\"}", "broke off after 18 bytes"),
        (b"{\"command\":\"st", "broke off after 14 bytes"),
        (b"{\"command\":\"explode\"}\n", "unknown variant"),
        (b"{\"command\":\"stop\",\"force\":true}\n", "unknown field `force`"),
        (oversize.as_bytes(), "at most 65536 bytes"),
        (b"", ""),
    ];
    for (bytes, expected) in cases {
        let said = daemon.says_to(bytes);
        assert!(said.contains(expected), "{said}");
        assert!(said.is_empty() || said.contains("\"ok\":false"), "{said}");
    }
    assert!(daemon.seen.is_empty(), "nothing of it was a command");
    assert!(daemon.is_alive());
}

#[test]
fn a_client_that_drips_is_cut_off_and_others_are_served_meanwhile() {
    let daemon = Daemon::new();
    let mut slow = daemon.connect();
    slow.write_all(b"{\"command\"").unwrap();
    let silent = daemon.connect();
    assert!(daemon.is_alive());
    for stream in [slow, silent] {
        let mut said = String::new();
        BufReader::new(stream).read_to_string(&mut said).unwrap();
        assert!(said.contains("did not come within 2 s"), "{said}");
    }
    assert!(daemon.seen.is_empty());
}

#[test]
fn many_connections_leave_the_server_alive() {
    let daemon = Daemon::new();
    let streams: Vec<UnixStream> = (0..500).map(|_| daemon.connect()).collect();
    drop(streams);
    assert!(daemon.is_alive());
    assert!(daemon.server.close(PATIENCE).ok);
}

#[test]
fn a_client_that_leaves_before_its_answer_harms_nobody() {
    let folder = state_dir();
    let (server, asked) = held(folder.path(), PATIENCE);
    let mut stream = UnixStream::connect(folder.path().join(SOCKET_NAME)).unwrap();
    stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
    let (command, reply) = asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(command, Command::Status);
    drop(stream);
    reply.send(answer("too late")).unwrap();
    assert!(server.close(PATIENCE).ok);
}

#[test]
fn a_loop_that_does_not_answer_is_said_plainly() {
    let folder = state_dir();
    let (server, asked) = held(folder.path(), Duration::from_millis(20));
    let socket = folder.path().join(SOCKET_NAME);
    let said = ask(&socket, &Command::Stop, PATIENCE).unwrap();
    assert!(!said.ok && said.text.contains("may still be carried out"), "{said:?}");
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().0, Command::Stop);
    drop(server);
    let (_server, asked) = held(folder.path(), PATIENCE);
    let busy = thread::spawn(move || drop(asked.recv_timeout(PATIENCE).unwrap()));
    let said = ask(&socket, &Command::Stop, PATIENCE).unwrap();
    assert!(!said.ok && said.text.contains("takes no commands"), "{said:?}");
    busy.join().unwrap();
}

#[test]
fn closing_tells_those_who_wait_and_removes_the_socket() {
    let folder = state_dir();
    let socket = folder.path().join(SOCKET_NAME);
    let (server, asked) = held(folder.path(), PATIENCE);
    let asker = thread::spawn({
        let socket = socket.clone();
        move || ask(&socket, &Command::Status, PATIENCE)
    });
    let (_, reply) = asked.recv_timeout(PATIENCE).unwrap();
    let half = UnixStream::connect(&socket).unwrap();
    assert!(server.close(PATIENCE).ok, "neither a waiting asker nor a silent client holds it up");
    assert!(!socket.exists());
    let said = asker.join().unwrap().unwrap();
    assert!(!said.ok && said.text.contains("ended before it answered"), "{said:?}");
    assert!(matches!(ask(&socket, &Command::Status, PATIENCE), Err(AskError::NotRunning { .. })));
    drop((reply, half));
}

#[test]
fn a_callback_that_hangs_is_named_and_not_waited_for() {
    let folder = state_dir();
    let (release, hold) = bounded::<()>(0);
    let (tell, called) = unbounded();
    let server = Server::open(&folder.path().join(SOCKET_NAME), PATIENCE, move |_| {
        tell.send(()).unwrap();
        let _ = hold.recv();
        bounded(1).1
    })
    .unwrap();
    let mut stream = UnixStream::connect(folder.path().join(SOCKET_NAME)).unwrap();
    stream.write_all(b"{\"command\":\"stop\"}\n").unwrap();
    called.recv_timeout(PATIENCE).unwrap();
    // Long enough for the three others, who have nothing to do.
    let closing = server.close(Duration::from_secs(2));
    assert!(!closing.ok);
    assert_eq!((closing.joined, closing.late.len()), (3, 1));
    assert!(closing.late[0].starts_with("control."));
    drop(release);
}

#[test]
fn a_leftover_of_a_crash_is_replaced_and_anything_else_is_not() {
    let folder = state_dir();
    let socket = folder.path().join(SOCKET_NAME);
    drop(UnixListener::bind(&socket).unwrap());
    drop(UnixListener::bind(folder.path().join("control.sock.new")).unwrap());
    assert!(matches!(ask(&socket, &Command::Status, PATIENCE), Err(AskError::NotRunning { .. })));
    let (server, _asked) = held(folder.path(), PATIENCE);
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
    drop(server);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays behind");
    fs::write(&socket, "precious").unwrap();
    let refused = Server::open(&socket, PATIENCE, |_| bounded(1).1);
    assert!(matches!(refused, Err(OpenError::InTheWay { .. })));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
}

#[test]
fn a_socket_that_is_not_ours_any_more_is_left_alone() {
    let daemon = Daemon::new();
    let socket = daemon.socket();
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    let folder = daemon.folder;
    assert!(daemon.server.close(PATIENCE).ok);
    assert!(socket.exists());
    drop(folder);
}

#[test]
fn a_state_directory_may_lie_deeper_than_a_socket_address_reaches() {
    let folder = state_dir();
    let deep = folder.path().join("a".repeat(80)).join("b".repeat(80));
    fs::create_dir_all(&deep).unwrap();
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).unwrap();
    let (server, asked) = held(&deep, PATIENCE);
    let replies = thread::spawn(move || {
        let (_, reply) = asked.recv_timeout(PATIENCE).unwrap();
        reply.send(answer("deep")).unwrap();
    });
    let socket = deep.join(SOCKET_NAME);
    assert_eq!(ask(&socket, &Command::Status, PATIENCE).unwrap(), answer("deep"));
    replies.join().unwrap();
    assert!(server.close(PATIENCE).ok);
    assert!(!socket.exists());
}

#[test]
fn a_daemon_that_says_nothing_does_not_hold_the_operator() {
    let folder = state_dir();
    let socket = folder.path().join(SOCKET_NAME);
    let _listener = UnixListener::bind(&socket).unwrap(); // Accepts into its queue and never reads: a stopped process.
    let refused = ask(&socket, &Command::Status, Duration::from_millis(30)).unwrap_err();
    assert!(matches!(refused, AskError::Silent { .. }), "{refused}");
    assert!(refused.to_string().contains("may still be carried out"));
}

#[test]
fn a_daemon_that_answers_nonsense_is_an_error_in_words() {
    let folder = state_dir();
    let socket = folder.path().join(SOCKET_NAME);
    let listener = UnixListener::bind(&socket).unwrap();
    let replies = thread::spawn(move || {
        for said in [&b"{}\n"[..], b"half", b""] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            stream.write_all(said).unwrap();
        }
    });
    for expected in ["not understood", "broke off after 4 bytes", "broke off after 0 bytes"] {
        let refused = ask(&socket, &Command::Status, PATIENCE).unwrap_err();
        assert!(matches!(refused, AskError::Broken(_)));
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    replies.join().unwrap();
}

#[test]
fn a_long_answer_arrives_whole() {
    let folder = state_dir();
    let (_server, asked) = held(folder.path(), PATIENCE);
    let text = "x".repeat(3_000_000);
    let replies = thread::spawn({
        let text = text.clone();
        move || {
            let (_, reply) = asked.recv_timeout(PATIENCE).unwrap();
            reply.send(answer(&text)).unwrap();
        }
    });
    let said = ask(&folder.path().join(SOCKET_NAME), &Command::Status, PATIENCE).unwrap();
    assert_eq!(said.text.len(), text.len());
    replies.join().unwrap();
}
