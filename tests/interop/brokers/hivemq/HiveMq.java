import com.hivemq.embedded.EmbeddedExtension;
import com.hivemq.embedded.EmbeddedHiveMQ;
import com.hivemq.extension.sdk.api.ExtensionMain;
import com.hivemq.extension.sdk.api.auth.SimpleAuthenticator;
import com.hivemq.extension.sdk.api.auth.PublishAuthorizer;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStartOutput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopInput;
import com.hivemq.extension.sdk.api.parameter.ExtensionStopOutput;
import com.hivemq.extension.sdk.api.services.Services;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * HiveMQ Community Edition in one folder: conf/config.xml, data/, extensions/, and two files of its own, read anew each
 * time, so that a test can change them: `users` (name:password a line) says who may connect, `denied` (a topic a line)
 * where nobody may publish. Prints "ready" when its listeners are bound.
 */
public final class HiveMq {
    public static void main(final String[] arguments) {
        final Path folder = Path.of(arguments[0]);
        final EmbeddedExtension rules = EmbeddedExtension.builder()
                .withId("rules").withName("rules").withVersion("1").withAuthor("tests")
                .withExtensionMain(new Rules(folder))
                .build();
        final EmbeddedHiveMQ broker = EmbeddedHiveMQ.builder()
                .withConfigurationFolder(folder.resolve("conf"))
                .withDataFolder(folder.resolve("data"))
                .withExtensionsFolder(folder.resolve("extensions"))
                .withEmbeddedExtension(rules)
                .build();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> broker.stop().join()));
        broker.start().join();
        System.out.println("ready");
    }

    private static List<String> lines(final Path file) {
        try {
            return Files.exists(file) ? Files.readAllLines(file) : List.of();
        } catch (final IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static final class Rules implements ExtensionMain {
        private final Path folder;

        Rules(final Path folder) {
            this.folder = folder;
        }

        @Override
        public void extensionStart(final ExtensionStartInput input, final ExtensionStartOutput output) {
            final SimpleAuthenticator who = (connect, answer) -> {
                final String name = connect.getConnectPacket().getUserName().orElse("");
                final String password = connect.getConnectPacket().getPassword()
                        .map(bytes -> StandardCharsets.UTF_8.decode(bytes).toString()).orElse("");
                if (lines(folder.resolve("users")).contains(name + ":" + password)) {
                    answer.authenticateSuccessfully();
                } else {
                    answer.failAuthentication();
                }
            };
            final PublishAuthorizer where = (publish, answer) -> {
                if (lines(folder.resolve("denied")).contains(publish.getPublishPacket().getTopic())) {
                    answer.failAuthorization();
                } else {
                    answer.authorizeSuccessfully();
                }
            };
            Services.securityRegistry().setAuthenticatorProvider(connection -> who);
            Services.securityRegistry().setAuthorizerProvider(connection -> where);
        }

        @Override
        public void extensionStop(final ExtensionStopInput input, final ExtensionStopOutput output) {}
    }
}
