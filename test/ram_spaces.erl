%% A network of its own for each node: Linux network namespaces, joined by a bridge in one more,
%% with cuts made by the packet filter. Takes root, iproute2 and nftables.
%%
%% The namespaces have no names. Each lives as long as a process in it: a shell that ends when its
%% standard input is closed, which it is when this VM ends, in whatever way, and the node itself. So
%% nothing is ever left, and two runs have nothing in common, not even where addresses are equal.
-module(ram_spaces).

-export([available/0, start/0, stop/1, enter/3, hold/3, mend/3, heal/1]).

-define(BRIDGE, "ram").

%% @doc Whether this machine lets us make networks, and what stands in the way.
-spec available() -> ok | {no, string()}.
available() ->
    Missing = [Tool || Tool <- ["ip", "nft", "unshare", "nsenter"],
                       os:find_executable(Tool) =:= false],
    case Missing of
        [] ->
            Try = "unshare --net sh -c 'ip link add t1 type bridge && ip link add t2 type veth"
                " && nft add table ip t' 2>&1 && echo works",
            Answer = os:cmd(Try),
            case lists:suffix("works\n", Answer) of
                true -> ok;
                false -> {no, "no network namespaces here: " ++ string:trim(Answer)}
            end;
        _ ->
            {no, "not installed: " ++ lists:join(" ", Missing)}
    end.

%% @doc A process that owns the networks of one run.
start() ->
    spawn_link(fun() ->
                       {_, Switch} = Bridge = holder(),
                       inside(Switch, ["ip link add " ?BRIDGE " type bridge",
                                       "ip link set " ?BRIDGE " up"]),
                       loop(Bridge, #{})
               end).

stop(Spaces) ->
    ask(Spaces, stop).

%% @doc The shell command that stands before one which shall run in the network of node I; its
%% address there. The network is made when it is first asked for.
enter(Spaces, I, Address) ->
    ask(Spaces, {enter, I, Address}).

%% @doc Packets from node A are dropped where node B would receive them.
hold(Spaces, A, B) ->
    ask(Spaces, {hold, A, B}).

%% @doc They are dropped no more.
mend(Spaces, A, B) ->
    ask(Spaces, {mend, A, B}).

heal(Spaces) ->
    ask(Spaces, heal).

ask(Spaces, Request) ->
    Monitor = monitor(process, Spaces),
    Spaces ! {Monitor, self(), Request},
    receive
        {Monitor, Reply} -> demonitor(Monitor, [flush]), Reply;
        {'DOWN', Monitor, process, _, Reason} -> error({spaces, Reason})
    end.

%% Nodes: I => {Holder, Address}.
loop(Bridge, Nodes) ->
    receive
        {Ref, From, stop} ->
            Holders = [Holder || {Holder, _Address} <- maps:values(Nodes)],
            [port_close(Port) || {Port, _Pid} <- [Bridge | Holders]],
            From ! {Ref, ok};
        {Ref, From, {enter, I, Address}} ->
            {{_, Pid}, _} = Node = case Nodes of
                                       #{I := Known} -> Known;
                                       #{} -> {joined(Bridge, I, Address), Address}
                                   end,
            From ! {Ref, "nsenter --net -t " ++ Pid},
            loop(Bridge, Nodes#{I => Node});
        {Ref, From, {Change, A, B}} ->
            #{A := {_, Address}, B := {{_, Pid}, _}} = Nodes,
            %% What is open is mended too, and nft deletes only what is there.
            Verbs = case Change of hold -> ["add"]; mend -> ["add", "delete"] end,
            inside(Pid, ["nft " ++ Verb ++ " element ip ram cut { " ++ Address ++ " }"
                         || Verb <- Verbs]),
            From ! {Ref, ok},
            loop(Bridge, Nodes);
        {Ref, From, heal} ->
            [inside(Pid, ["nft flush set ip ram cut"]) || {{_, Pid}, _} <- maps:values(Nodes)],
            From ! {Ref, ok},
            loop(Bridge, Nodes)
    end.

joined({_, Switch}, I, Address) ->
    {_, Pid} = Holder = holder(),
    Port = "ram" ++ integer_to_list(I),
    inside(Switch, ["ip link add " ++ Port ++ " type veth peer name eth0 netns " ++ Pid,
                    "ip link set " ++ Port ++ " master " ?BRIDGE " up"]),
    inside(Pid, ["ip link set lo up", "ip addr add " ++ Address ++ "/24 dev eth0",
                 "ip link set eth0 up", "nft add table ip ram",
                 "nft add set ip ram cut { type ipv4_addr\\; }",
                 "nft add chain ip ram in { type filter hook input priority 0\\; }",
                 "nft add rule ip ram in ip saddr @cut drop"]),
    Holder.

%% A process in a new network, and its number.
holder() ->
    Args = ["--net", "sh", "-c", "echo $$; cat >/dev/null"],
    Port = open_port({spawn_executable, os:find_executable("unshare")},
                     [{args, Args}, {line, 20}, exit_status]),
    receive
        {Port, {data, {eol, Pid}}} -> {Port, Pid};
        {Port, {exit_status, Status}} -> error({no_network, Status})
    end.

inside(Pid, Commands) ->
    [case os:cmd("nsenter --net -t " ++ Pid ++ " " ++ Command ++ " 2>&1") of
         "" -> ok;
         Answer -> error({Command, Answer})
     end || Command <- Commands],
    ok.
