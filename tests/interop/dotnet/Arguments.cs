using System;
using System.IO;
using System.Linq;
using Mono.Security.X509;

/// <summary>What the command line says: URL [--ca FILE] --version 3|4|5 --name NAME.</summary>
sealed class Arguments
{
    public Uri Url { get; private set; }
    public int Version { get; private set; }
    public string Name { get; private set; }
    public bool IsSecure { get; private set; }

    public static Arguments Parse(string[] given)
    {
        var arguments = new Arguments();
        for (var at = 0; at < given.Length; at++)
        {
            switch (given[at])
            {
                case "--ca": Trust(given[++at]); arguments.IsSecure = true; break;
                case "--version": arguments.Version = int.Parse(given[++at]); break;
                case "--name": arguments.Name = given[++at]; break;
                default: arguments.Url = new Uri(given[at]); break;
            }
        }
        if (arguments.Url == null || arguments.Version == 0 || arguments.Name == null)
        {
            throw new ArgumentException("expected URL [--ca FILE] --version 3|4|5 --name NAME");
        }
        return arguments;
    }

    /// <summary>
    /// Makes mono trust the authority of the file, and no other: the way of `cert-sync --user`, but in a folder of this
    /// process. A validation callback would do instead, were it not that mono 6.8 has no words for ECDSA keys there.
    /// </summary>
    static void Trust(string file)
    {
        var folder = Path.Combine(Path.GetTempPath(), "gatemq-mono-" + Guid.NewGuid());
        Environment.SetEnvironmentVariable("XDG_CONFIG_HOME", folder);
        AppDomain.CurrentDomain.ProcessExit += (sender, exit) => Directory.Delete(folder, true);
        var lines = File.ReadAllLines(file).Where(line => !line.StartsWith("-----"));
        var authority = new X509Certificate(Convert.FromBase64String(string.Concat(lines)));
        X509StoreManager.NewCurrentUser.TrustedRoot.Import(authority);
    }
}
