"""The payment service: takes an order's money, and refunds it.

It declines customers whose names start with `declined`. Those that start with `stuck-refund` get their money back only
once the table `switches` has the row `allow-refunds`.
"""

from dataclasses import dataclass

import commands
import payments
from commands import Answer, Command
from wasaga import Capabilities, Effects, FlowTask, Permanent, Plugin

plugin = Plugin(
    "payment",
    "0.1.0",
    migrations=[("commands", commands.TABLE), ("tables", payments.TABLES)],
    capabilities=Capabilities(sql=True, topics=["payment.replies"]),
)


@dataclass
class Payment:
    """The value of `ProcessPayment`."""

    order_id: str
    customer_id: str
    amount_cents: int
    tax_cents: int = 0


def process(command: Command, payment: Payment) -> Answer:
    customer, amount_cents = payment.customer_id, payment.amount_cents
    if customer.startswith("declined"):
        reason = f'the bank of "{customer}" declined {amount_cents} cents'
        return Answer("PaymentFailed", {"code": "payment-declined", "reason": reason})
    payment_id = payments.insert(command.key, payment.order_id, customer, amount_cents, payment.tax_cents)
    paid = {"order_id": payment.order_id, "payment_id": payment_id, "amount_cents": amount_cents}
    return Answer("PaymentProcessed", paid)


def refund(command: Command, forward_key: str) -> Answer:
    # Should the payment's command come after this one, it is refused.
    too_late = {"code": "already-undone", "reason": "RefundPayment came before this ProcessPayment"}
    refusal = Answer("PaymentFailed", too_late)
    had_acted = False
    if not commands.forestall(forward_key, "ProcessPayment", command.order_id, refusal):
        is_stuck = (payments.customer(forward_key) or "").startswith("stuck-refund")
        if is_stuck and not payments.switch_is_on("allow-refunds"):
            blocked = {"code": "refund-blocked", "reason": "the bank accepts no refunds now"}
            return Answer("RefundFailed", blocked, is_kept=False)
        had_acted = payments.refund(forward_key)
    return Answer("PaymentRefunded", {"order_id": command.order_id, "had_acted": had_acted})


@plugin.handle_in("payment.commands")
def handle(task: FlowTask, effects: Effects) -> None:
    message = task.message
    command = Command.of(message)
    if command.kind == "ProcessPayment":
        payment = message.json_as(Payment)
        answer = commands.answer(command, lambda: process(command, payment))
        if payment.customer_id.startswith("silent-payment"):
            return
    elif command.kind == "RefundPayment":
        forward_key = message.require_header("forward-key")
        answer = commands.answer(command, lambda: refund(command, forward_key))
    else:
        raise Permanent(
            "unknown-command",
            f"a record of topic {message.topic!r} has message-type {command.kind!r}: "
            "it must be ProcessPayment or RefundPayment",
        )
    effects.send(command.reply(answer))
