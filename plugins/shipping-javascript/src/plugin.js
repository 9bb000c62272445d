// The shipping service: creates an order's shipment, and cancels it.
//
// It ships nothing to customers whose names start with `unshippable` or `stuck-refund`: the latter's orders fail after
// the payment, so that their refund can be seen to be stuck.

import { Message, Permanent, definePlugin } from "wasaga-guest";

import * as commands from "./commands.js";
import * as shipments from "./shipments.js";

const UNSHIPPABLE = ["unshippable", "stuck-refund"];

/** A command's headers. */
function commandOf(message) {
  return {
    kind: message.requireHeader("message-type"),
    key: message.requireHeader("idempotency-key"),
    correlationId: message.requireHeader("correlation-id"),
    orderId: message.requireHeader("order-id"),
    replyTopic: message.requireHeader("reply-topic"),
  };
}

function create(command, body) {
  if (UNSHIPPABLE.some((start) => body.customer_id.startsWith(start))) {
    const reason = `no carrier goes to "${body.customer_id}"`;
    return { reply: "ShipmentFailed", value: { code: "unshippable", reason } };
  }
  const shipment_id = shipments.create(command.key, body);
  return { reply: "ShipmentCreated", value: { order_id: command.orderId, shipment_id } };
}

function cancel(command, forwardKey) {
  const { orderId } = command;
  // Should the shipment's command come after this one, it is refused.
  const value = { code: "already-undone", reason: "CancelShipment came before this CreateShipment" };
  const created = { key: forwardKey, kind: "CreateShipment", orderId };
  const isFirst = commands.forestall(created, { reply: "ShipmentFailed", value });
  const had_acted = !isFirst && shipments.cancel(forwardKey);
  return { reply: "ShipmentCancelled", value: { order_id: orderId, had_acted } };
}

/** A command's answer: the one that it got before, or the one that acting on it gives. */
function answer(command, act) {
  const known = commands.count(command);
  if (known) return known;
  const given = act();
  commands.keep(command.key, given);
  return given;
}

function handle({ message }, effects) {
  const command = commandOf(message);
  const body = message.json();
  let given;
  let isSilent = false;
  if (command.kind === "CreateShipment") {
    given = answer(command, () => create(command, body));
    isSilent = body.customer_id.startsWith("silent-shipping");
  } else if (command.kind === "CancelShipment") {
    const forwardKey = message.requireHeader("forward-key");
    given = answer(command, () => cancel(command, forwardKey));
  } else {
    throw new Permanent(
      "unknown-command",
      `a record of topic "${message.topic}" has message-type "${command.kind}": it must be CreateShipment or CancelShipment`,
    );
  }
  if (isSilent) return;
  const headers = {
    "message-type": given.reply,
    "correlation-id": command.correlationId,
    "order-id": command.orderId,
  };
  const { replyTopic, orderId } = command;
  effects.send(new Message(replyTopic, { key: orderId, headers, json: given.value }));
}

export const { plugin, tasks } = definePlugin({
  name: "shipping",
  version: "0.1.0",
  topics: { "shipping.commands": { handleIn: handle } },
  migrations: [
    ["commands", commands.TABLE],
    ["tables", shipments.TABLE],
  ],
  capabilities: { sql: true, topics: ["shipping.replies"] },
});
