// Why an attempt did not end well, by what has to follow. Throw one of them.

/** `code` is short and stable, as "payment-declined"; `message` is a sentence for the operator; `data` is JSON. */
export class Failure extends Error {
  constructor(code, message, data) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.data = data;
  }
}

/** This attempt did nothing: try again under the step's policy, and not before `afterMs`. */
export class Retryable extends Failure {
  constructor(code, message, { afterMs, data } = {}) {
    super(code, message, data);
    this.afterMs = afterMs;
  }
}

/** The effect has certainly not happened and never will: no retry, no undo of this step. */
export class Permanent extends Failure {}

/** The effect may have happened: retried under the policy, and undone when the saga fails. */
export class Unknown extends Failure {}
