import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Places an order: the messages and the order are one commit, or nothing is there. */
class Place {
    static List<Long> place(Connection connection, String order, long cents, String[] products) throws SQLException {
        connection.setAutoCommit(false);
        var bought = connection.createArrayOf("text", products);
        try (var emit = connection.prepareStatement("""
                    select wasaga.emit('orders.placed', ?, jsonb_build_object('order_id', ?, 'cents', ?),
                        idempotency_key => ?, aggregate_id => ?, event_type => 'order.placed')""");
                var emitMany = connection.prepareStatement("""
                    select wasaga.emit_many(to_jsonb(array(
                        select jsonb_build_object('topic', 'orders.lines', 'key', ?,
                            'payload', jsonb_build_object('line', line, 'product', product),
                            'headers', jsonb_build_array(jsonb_build_array('product', product)),
                            'idempotency_key', format('place %s line %s', ?, line))
                        from unnest(?) with ordinality as lines (product, line) order by line)))""");
                var insert = connection.prepareStatement(
                    "insert into shop.orders (order_id, cents, products) values (?, ?, ?) on conflict do nothing")) {
            emit.setString(1, order);
            emit.setString(2, order);
            emit.setLong(3, cents);
            emit.setString(4, "place " + order);
            emit.setString(5, order);
            var messages = new ArrayList<Long>();
            try (var emitted = emit.executeQuery()) {
                emitted.next();
                messages.add(emitted.getLong(1));
            }
            emitMany.setString(1, order);
            emitMany.setString(2, order);
            emitMany.setArray(3, bought);
            try (var emitted = emitMany.executeQuery()) {
                emitted.next();
                messages.addAll(List.of((Long[]) emitted.getArray(1).getArray()));
            }
            insert.setString(1, order);
            insert.setLong(2, cents);
            insert.setArray(3, bought);
            insert.executeUpdate();
            connection.commit();
            return messages;
        } catch (SQLException error) {
            connection.rollback();
            throw error;
        }
    }

    /** JDBC wants user and password beside the address. */
    static Connection connect(URI url) throws SQLException {
        String[] login = url.getUserInfo().split(":", 2);
        String options = url.getRawQuery() == null ? "" : "?" + url.getRawQuery();
        String address = "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath() + options;
        return DriverManager.getConnection(address, login[0], login.length > 1 ? login[1] : null);
    }

    public static void main(String[] arguments) {
        String order = arguments[0];
        try (var connection = connect(URI.create(System.getenv("DATABASE_URL")))) {
            var products = Arrays.copyOfRange(arguments, 2, arguments.length);
            var messages = place(connection, order, Long.parseLong(arguments[1]), products);
            System.out.printf("order %s is placed: messages %s%n", order, messages);
        } catch (SQLException error) {
            System.err.printf("order %s is not placed: %s%n", order, error.getMessage());
            System.exit(1);
        }
    }
}
