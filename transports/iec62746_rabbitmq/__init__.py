"""RabbitMQ as a communication server: `amqp://` and `amqps://`, by aio-pika's own foundation, aiormq."""

from iec62746_rabbitmq.transport import RabbitTransport

__all__ = ["RabbitTransport"]
