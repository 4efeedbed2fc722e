//! `gatemq bench`: loads a broker, and prints what was measured. Start at [`run`].

mod arguments;
mod progress;

pub(super) use arguments::{Command, FIELDS};

use gatemq::{
    bench::{self, BenchError, Failure, Plan, Report},
    client::{ClientError, Kind, PublishError, Session},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::progress::Line;
use super::{
    Exit,
    client::{self, Interrupt},
    complain,
    remote::print_json,
    say,
};

/// Descriptors of a process beside those of its connections.
const OTHER_DESCRIPTORS: u64 = 32;

/// What every packet has beside topic and payload, and some.
const PACKET_OVERHEAD: usize = 16;

/// Loads and measures.
pub(super) fn run(command: &Command) -> Exit {
    let clients = command.clients();
    let prepared = clients.connection.plan().and_then(|mut connection| {
        let plan = command.plan(&connection)?;
        enough_descriptors(&plan)?;
        connection.connect.client_id = format!("{}probe", plan.prefix).into();
        Ok((connection, plan))
    });
    let (connection, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(wrong) => return client::misused(command.name(), wrong),
    };
    client::run(async |interrupt| measure(command, connection, plan, interrupt).await)
}

async fn measure(
    command: &Command,
    mut connection: client::Plan,
    mut plan: Plan,
    mut interrupt: Interrupt,
) -> Exit {
    let ready = tokio::select! {
        ready = prepare(&mut connection, &mut plan) => ready,
        () = interrupt.wait() => return Exit::Timeout,
    };
    if let Err(exit) = ready {
        return exit;
    }
    let mut line = Line::new(connection.quiet);
    let done = bench::run(plan, &mut |progress| line.tell(progress), interrupt.wait()).await;
    line.clear();
    let report = match done {
        Ok(report) => report,
        Err(error @ (BenchError::Plan(_) | BenchError::Server(..))) => {
            return client::misused(command.name(), error);
        }
        Err(error @ BenchError::Thread(_)) => return complain(Exit::Configuration, error),
    };
    if command.clients().json {
        print_json(&report);
    } else {
        say(&report);
    }
    warn(&connection, &report);
    exit(&report)
}

/// One connection before the many: whatever is wrong with the way is wrong for all of them.
async fn prepare(connection: &mut client::Plan, plan: &mut Plan) -> Result<(), Exit> {
    let opened = connection.open(&Session::default()).await;
    let client = opened.map_err(|error| connection.fail(&error))?;
    let refused = refusal(client.connack(), plan);
    connection.close(client).await;
    if let Some(error) = refused {
        connection.say(error);
        return Err(Exit::Refused);
    }
    plan.connect = connection.connect.clone();
    let prepared = plan.dial.prepare(&plan.target, plan.opening.resumes).await;
    prepared.map_err(|error| connection.fail(&ClientError::Dial(error)))
}

/// What the broker does not take of what is to be published.
fn refusal(connack: &gatemq::mqtt::packet::ConnAck, plan: &Plan) -> Option<PublishError> {
    if plan.publishers() == 0 {
        return None;
    }
    let load = &plan.load;
    if let Some(maximum) = connack.maximum_qos.filter(|maximum| *maximum < load.qos) {
        return Some(PublishError::QoSNotSupported(maximum));
    }
    if load.retain && !connack.retain_available {
        return Some(PublishError::RetainNotSupported);
    }
    let largest = load.size + plan.topic.len() + plan.prefix.len() + PACKET_OVERHEAD;
    let maximum = connack.maximum_packet_size;
    let is_too_large = maximum.is_some_and(|maximum| largest > maximum as usize);
    is_too_large.then_some(PublishError::TooLarge {
        payload: load.size,
        maximum,
    })
}

/// Every connection is a descriptor: as many as the system lets us have.
fn enough_descriptors(plan: &Plan) -> Result<(), String> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // What cannot be raised is seen below.
    let _ = setrlimit(Resource::Nofile, raised);
    let needed = plan.clients() as u64 + 8 * plan.threads as u64 + OTHER_DESCRIPTORS;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Err(format!(
            "{} clients need {needed} descriptors, and this process may have {limit}; raise that with \
             `ulimit -n {needed}`, or use fewer (-c)",
            plan.clients()
        )),
        Some(_) | None => Ok(()),
    }
}

/// What makes the figures other than they seem.
fn warn(connection: &client::Plan, report: &Report) {
    if report.generator.is_limit {
        connection.say(
            "the generator was busy all the time: the broker may be able to do more; use more --threads, or read only \
             its CPU for each message",
        );
    }
    let Some(Failure { reason, .. }) = report.connections.failures.first() else {
        return;
    };
    let (failed, lost) = (report.connections.failed, report.connections.lost);
    connection.say(format_args!(
        "{failed} connections failed and {lost} were lost: {reason}"
    ));
}

fn exit(report: &Report) -> Exit {
    match report
        .connections
        .failures
        .first()
        .map(|failure| failure.kind)
    {
        None => Exit::Done,
        Some(Kind::Usage) => Exit::Usage,
        Some(Kind::Unreachable) => Exit::Unreachable,
        Some(Kind::Refused) => Exit::Refused,
        Some(Kind::Timeout) => Exit::Timeout,
    }
}
