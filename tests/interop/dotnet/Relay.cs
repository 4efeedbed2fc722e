using System;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;

/// <summary>
/// A network cable to pull: what is connected to its port goes on to the broker until it is cut, whatever the library.
/// </summary>
sealed class Relay
{
    readonly TcpListener listener = new TcpListener(IPAddress.Loopback, 0);
    readonly Uri target;
    volatile TcpClient client;
    volatile TcpClient broker;

    public Relay(Uri target)
    {
        this.target = target;
        listener.Start();
        Task.Run(Run);
    }

    /// <summary>The target's URL with the port of this relay.</summary>
    public Uri Url
    {
        get { return new UriBuilder(target) { Port = ((IPEndPoint)listener.LocalEndpoint).Port }.Uri; }
    }

    /// <summary>Ends both streams at once: the broker sees no DISCONNECT, no close frame and no close_notify.</summary>
    public void Cut()
    {
        listener.Stop();
        broker.Close();
        client.Close();
    }

    /// <summary>Serves one client. Where it cannot, that client fails to connect, which the step reports.</summary>
    async Task Run()
    {
        client = await listener.AcceptTcpClientAsync();
        broker = new TcpClient(target.Host, target.Port);
        await Task.WhenAny(Copy(client, broker), Copy(broker, client));
    }

    static async Task Copy(TcpClient from, TcpClient to)
    {
        try
        {
            await from.GetStream().CopyToAsync(to.GetStream());
        }
        catch (Exception cut) when (cut is IOException || cut is ObjectDisposedException)
        {
            // This is what it is for.
        }
    }
}
