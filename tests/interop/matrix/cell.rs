//! A cell of the matrix: one client over one transport in one version, run to its end.

use crate::{
    broker::{Broker, Transport},
    clients::{self, Client, Step, Version},
    program::Program,
};

/// One client over one transport in one version.
pub(crate) struct Cell {
    number: usize,
    pub(crate) client: &'static Client,
    pub(crate) transport: Transport,
    pub(crate) version: Version,
}

/// Every cell that a client has.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for client in clients::all() {
        for transport in Transport::ALL {
            for version in Version::ALL {
                if client.has(transport, version) {
                    cells.push(Cell {
                        number: cells.len(),
                        client,
                        transport,
                        version,
                    });
                }
            }
        }
    }
    cells
}

impl Cell {
    /// What the test is called.
    pub(crate) fn title(&self) -> String {
        let transport = format!("{:?}", self.transport).to_lowercase();
        format!("{}/{transport}/{}", self.client.id, self.version.name())
    }

    /// The client's name for this run: of one length, so that none begins with another, and short, since MQTT 3.1 allows
    /// client identifiers of 23 characters.
    pub(crate) fn name(&self) -> String {
        format!("cell{:03}", self.number)
    }

    /// Runs the program, which must pass every step that its library can do, and end well.
    pub(crate) async fn run(&self, broker: &Broker) {
        let mut command = (self.client.command)();
        command.arg(broker.url(self.transport));
        if self.transport.is_secure() {
            command.arg("--ca").arg(broker.ca());
        }
        command.args(["--version", self.version.number()]);
        command.args(["--name", &self.name()]);
        let mut program = Program::start(command);
        for step in Step::ALL.into_iter().filter(|step| self.client.does(*step)) {
            let line = program.line().await;
            assert_eq!(line, step.name(), "{} says what has passed", self.title());
        }
        let rest = program.succeeds().await;
        assert!(rest.is_empty(), "{} says more: {rest:?}", self.title());
    }
}
