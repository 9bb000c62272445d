import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

/** Places an order: the message and the order are one commit, or neither is there. */
class Place {
    static long place(Connection connection, String order, long cents) throws SQLException {
        connection.setAutoCommit(false);
        try (var emit = connection.prepareStatement("""
                    select wasaga.emit('orders.placed', ?, jsonb_build_object('order_id', ?, 'cents', ?),
                        idempotency_key => ?, aggregate_id => ?, event_type => 'order.placed')""");
                var insert = connection.prepareStatement(
                    "insert into shop.orders (order_id, cents) values (?, ?) on conflict do nothing")) {
            emit.setString(1, order);
            emit.setString(2, order);
            emit.setLong(3, cents);
            emit.setString(4, "place " + order);
            emit.setString(5, order);
            long message;
            try (var emitted = emit.executeQuery()) {
                emitted.next();
                message = emitted.getLong(1);
            }
            insert.setString(1, order);
            insert.setLong(2, cents);
            insert.executeUpdate();
            connection.commit();
            return message;
        } catch (SQLException error) {
            connection.rollback();
            throw error;
        }
    }

    /** JDBC wants user and password beside the address. */
    static Connection connect(URI url) throws SQLException {
        String[] login = url.getUserInfo().split(":", 2);
        String address = "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath();
        return DriverManager.getConnection(address, login[0], login.length > 1 ? login[1] : null);
    }

    public static void main(String[] arguments) {
        String order = arguments[0];
        try (var connection = connect(URI.create(System.getenv("DATABASE_URL")))) {
            long message = place(connection, order, Long.parseLong(arguments[1]));
            System.out.printf("order %s is placed: message %d%n", order, message);
        } catch (SQLException error) {
            System.err.printf("order %s is not placed: %s%n", order, error.getMessage());
            System.exit(1);
        }
    }
}
