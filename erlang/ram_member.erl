%% The process that owns the member of this node: started, stopped, erased, named. It is registered
%% as ram_node, whose functions ask it from any node.
%%
%% The data folder holds nothing, a member, or what cannot be read; the library says which, under
%% the lock of the folder, and only who finds nothing may join. A folder may change while no member
%% has it open (a volume is mounted late, another process lets go of it), so it is looked at again
%% whenever somebody asks; and by itself as long as another process holds it.
%%
%% The name and the cookie of the node may change, or come later than ram (ram_distribution).
%% Without a member here the new name is simply that of the node; with one, it takes the new cookie,
%% and the new name if nobody else knows it under the former. A member of several keeps its name,
%% serves on, and is not taken for a node of the new one.
%%
%% A member that fails (its disk is full) is closed and the reason is kept for status; the process
%% and the VM go on, and restart brings it back. Nothing is deleted because something failed.
-module(ram_member).
-behaviour(gen_server).

-include_lib("kernel/include/logger.hrl").

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-record(state, {settings :: ram_config:settings(),
                config :: ram_config:config() | undefined,   % while the node has no name
                cookie :: binary() | undefined,
                network :: pid() | undefined,        % which tells of nodes that come
                misnamed :: binary() | undefined,    % the node has another name than its member
                member :: ram_nif:member() | undefined,
                cluster :: binary() | undefined,     % of the data, running or not, if known
                storage = disk :: disk | memory,     % of the member
                coordinator :: reference() | undefined,   % monitors it
                failure :: term(),                   % why the member does not run, if it should
                again :: reference() | undefined}).  % the timer for another look

%% How soon a folder that another process held is looked at again.
-define(LOOK_AGAIN_MS, 200).
%% How soon a new name or cookie is noticed when nobody asks.
-define(NOTICE_MS, 1000).

-spec start_link(ram_config:settings()) -> gen_server:start_ret().
start_link(Settings) ->
    gen_server:start_link({local, ram_node}, ?MODULE, Settings, []).

-spec init(ram_config:settings()) -> {ok, #state{}}.
init(Settings) ->
    process_flag(trap_exit, true),
    %% Of a process that was killed.
    _ = ram_request:clear_member(),
    Cookie = ram_distribution:cookie(undefined),
    self() ! notice,
    State = with_network(#state{settings = Settings, cookie = Cookie}),
    {ok, named(State, ram_distribution:name())}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(Request, From, State) ->
    handle(Request, From, noticed(State)).

handle(status, _From, State) ->
    {reply, silence(State), State};
handle(describe, _From, State) ->
    Found = look(State),
    {reply, description(Found), Found};
handle(_Request, _From, #state{config = undefined} = State) ->
    {reply, {error, unnamed}, State};
handle({join, Cluster, Storage, Coordinator}, _From, State) ->
    join_found(Cluster, Storage, Coordinator, look(State));
handle({cancel_join, Cluster}, _From, #state{cluster = Cluster, member = Member} = State)
  when Member =/= undefined ->
    join_cancelled(ended(fun ram_nif:member_abandon/1, State));
handle({cancel_join, Cluster}, _From, #state{cluster = Cluster, failure = Reason} = State) ->
    {reply, {error, Reason}, State};
handle({cancel_join, _Other}, _From, State) ->
    {reply, ok, State};
handle({erase, Only}, _From, #state{cluster = Cluster} = State)
  when is_binary(Only), is_binary(Cluster), Only =/= Cluster ->
    {reply, {error, other_cluster}, State};
handle({erase, Id}, From, State) when is_integer(Id) ->
    case description(State) of
        #{id := Id} -> handle({erase, any}, From, State);
        _ -> {reply, {error, other_member}, State}
    end;
handle({erase, _Only}, _From, #state{member = Member} = State) when Member =/= undefined ->
    erased(ended(fun ram_nif:member_erase/1, State));
handle({erase, Only}, _From, #state{config = #{data_dir := Dir}} = State) ->
    erased({ram_nif:folder_erase(Dir, known_cluster(Only, State)), State});
handle({set_aside, Id}, _From, State) ->
    case description(State) of
        #{id := Id} -> aside(State);
        _ -> {reply, {error, other_member}, State}
    end;
handle(restart, _From, #state{member = undefined} = State) ->
    case start_again(State) of
        #state{member = undefined, failure = undefined} = None -> {reply, {error, noproc}, None};
        #state{member = undefined, failure = Reason} = Failed -> {reply, {error, Reason}, Failed};
        Started -> {reply, ok, Started}
    end;
handle(restart, _From, State) ->
    {reply, ok, State};
handle({recover, _Old, _New}, _From, #state{member = undefined} = State) ->
    {reply, {error, noproc}, State};
handle({recover, Old, New}, _From, #state{member = Member} = State) ->
    case ram_nif:member_recover(Member, Old, New) of
        {ok, Recovered, LastLogIndex} ->
            flush_events(),
            {reply, {ok, LastLogIndex}, serve(Recovered, State)};
        {error, other_cluster} = Error ->
            {reply, Error, State};
        {error, _} = Error ->
            {reply, Error, start_again(stop_member(State))}
    end;
handle(_OfAnotherVersion, _From, State) -> {reply, {error, unknown_request}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({joined, Cluster}, #state{cluster = Cluster, coordinator = Coordinator} = State) ->
    Coordinator =/= undefined andalso demonitor(Coordinator, [flush]),
    {noreply, State#state{coordinator = undefined}};
handle_cast({address, Cluster, Id, Address}, #state{cluster = Cluster, member = Member} = State)
  when Member =/= undefined ->
    ok = ram_nif:member_set_address(Member, Id, Address),
    {noreply, State};
handle_cast(_Stale, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Monitor, process, _Pid, _Reason}, #state{coordinator = Monitor} = State) ->
    {noreply, State#state{coordinator = undefined}};
handle_info({nodeup, Node, _Info}, State) ->
    tell_address([Node], State),
    {noreply, State};
handle_info(notice, State) ->
    _ = erlang:send_after(?NOTICE_MS, self(), notice),
    {noreply, noticed(State)};
handle_info({ram_member, removed}, #state{member = Member} = State) when Member =/= undefined ->
    {reply, _, Aside} = aside(State),
    {noreply, Aside};
handle_info({ram_member, {failed, Text}}, State) ->
    ?LOG_ERROR("ram: the member stopped: ~ts; ram:restart_server() starts it again", [Text]),
    {noreply, (stop_member(State))#state{failure = {failed, Text}}};
handle_info(look_again, #state{member = undefined, failure = {in_use, _}} = State) ->
    {noreply, start_again(State)};
handle_info({ram_log, Level, Text}, State) ->
    ?LOG(Level, "ram: ~ts", [Text]),
    {noreply, State};
handle_info(_Other, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_Reason, State) ->
    _ = stop_member(State),
    ok.

%% What became of the name and the cookie of the node, and whether another process tells of nodes.
noticed(State) ->
    with_cookie(with_name(with_network(State))).

%% Hidden nodes are members like others.
with_network(#state{network = Known} = State) ->
    case ram_distribution:network() of
        Known -> State;
        undefined -> State#state{network = undefined};
        Network ->
            _ = net_kernel:monitor_nodes(true, [{node_type, all}]),
            tell_address(nodes(connected), State),
            State#state{network = Network}
    end.

with_cookie(#state{cookie = Known, member = Member} = State) ->
    case ram_distribution:cookie(Known) of
        Known -> State;
        Cookie ->
            Member =:= undefined orelse ram_nif:member_set_cookie(Member, Cookie),
            State#state{cookie = Cookie}
    end.

with_name(#state{config = Config} = State) ->
    Known = case Config of undefined -> undefined; #{name := Name} -> binary_to_atom(Name) end,
    case ram_distribution:name() of
        Known -> State#state{misnamed = undefined};
        Node -> named(State, Node)
    end.

named(#state{member = undefined, settings = Settings} = State, Node) ->
    Left = State#state{cluster = undefined, failure = undefined, config = undefined,
                       misnamed = undefined},
    case Node of
        undefined ->
            ?LOG_NOTICE("ram: no member is started before this node has a name"),
            Left;
        _ ->
            #{data_dir := Dir, storage := Storage} = Config = ram_config:named(Settings, Node),
            Storage =:= memory orelse
                ?LOG_NOTICE("ram: the data folder of ~ts is ~ts", [Node, Dir]),
            start_again(Left#state{config = Config})
    end;
%% Distribution was stopped. The member's own connections stay.
named(State, Node) when Node =:= undefined; Node =:= nonode@nohost ->
    State;
named(#state{misnamed = undefined, member = Member, settings = Settings} = State, Node) ->
    case member_status(Member) of
        #{members := [_Alone]} -> renamed(State, Node, ram_config:named(Settings, Node));
        _ -> misnamed(State, Node, "the cluster has other members")
    end;
named(State, _Node) -> State.

%% The folder has the name of the node by default, and goes along.
renamed(#state{config = #{data_dir := Dir}} = State, Node, #{data_dir := NewDir} = New) ->
    case ram_distribution:move_folder(State#state.storage, Dir, NewDir) of
        ok -> renamed_in(State, Node, New);
        {error, Why} -> misnamed(State, Node, [NewDir, ": ", file:format_error(Why)])
    end.

renamed_in(#state{member = Member, config = #{data_dir := Dir}} = State, Node, New) ->
    #{data_dir := NewDir} = New,
    case ram_nif:member_rename(Member, settings(State#state{config = New}), rand:bytes(16)) of
        {ok, Renamed} ->
            flush_events(),
            ?LOG_NOTICE("ram: the member of this node is ~ts from now on; its data folder is ~ts",
                        [Node, NewDir]),
            serve(Renamed, State#state{config = New});
        {error, joined} ->
            _ = ram_distribution:move_folder(State#state.storage, NewDir, Dir),
            misnamed(State, Node, "the cluster has other members");
        {error, Reason} ->
            failed(Reason, stop_member(State#state{config = New}))
    end.

misnamed(#state{config = #{name := Name}} = State, Node, Why) ->
    Text = ram_distribution:misnamed(Name, Node, Why),
    ?LOG_ERROR("ram: ~ts", [Text]),
    State#state{misnamed = Text}.

%% What the folder holds may have changed since it held nothing, or could not be read. A member that
%% failed is started by whoever asks for it: nothing in its folder says that it would go better.
look(#state{member = undefined, cluster = undefined} = State) -> start_again(State);
look(State) -> State.

%% Serves the cluster that the data folder holds, if it holds one.
start_again(#state{config = undefined} = State) -> State;
start_again(#state{config = #{data_dir := Dir, storage := Storage}} = State) ->
    case ram_nif:folder_look(Dir) of
        none ->
            State#state{cluster = undefined, failure = undefined};
        {ok, Cluster} when Storage =:= memory ->
            ?LOG_ERROR("ram: ~ts holds the data of a cluster, but storage is set to memory; "
                       "set it to disk, or delete the folder", [Dir]),
            State#state{cluster = Cluster, failure = {storage_mismatch, disk, memory}};
        {ok, Cluster} ->
            start_member(<<>>, State#state{cluster = Cluster, storage = disk});
        {error, Reason} ->
            failed(Reason, State#state{cluster = undefined})
    end.

%% Into a folder that holds nothing, and nothing else.
join_found(Cluster, Storage, Coordinator,
           #state{member = undefined, failure = undefined} = State) ->
    case start_as(Storage, Cluster, State) of
        {error, _} = Error ->
            {reply, Error, State};
        #state{member = undefined, failure = Reason} ->
            %% It has undone what it made.
            {reply, {error, Reason}, State};
        #state{member = Member, config = #{name := Name}} = Started ->
            #{id := Id, address := Address} = member_status(Member),
            Monitor = monitor(process, Coordinator),
            {reply, {ok, {Id, Name, Address}}, Started#state{coordinator = Monitor}}
    end;
join_found(_Cluster, _Storage, _Coordinator,
           #state{cluster = undefined, failure = Reason} = State) ->
    {reply, {error, Reason}, State};
join_found(_Cluster, _Storage, _Coordinator, State) ->
    {reply, {error, {already_clustered, [node()]}}, State}.

start_as(any, Cluster, #state{config = #{storage := any}} = State) ->
    start_member(Cluster, State#state{storage = disk});
start_as(any, Cluster, #state{config = #{storage := Storage}} = State) ->
    start_member(Cluster, State#state{storage = Storage});
start_as(Storage, Cluster, #state{config = #{storage := Set}} = State)
  when Set =:= any; Set =:= Storage ->
    start_member(Cluster, State#state{storage = Storage});
start_as(Storage, _Cluster, #state{config = #{storage := Set}}) ->
    {error, {storage_mismatch, Set, Storage}}.

%% `Cluster' is empty for the one that the data folder holds.
start_member(Cluster, State) ->
    case ram_nif:member_start(settings(State), Cluster) of
        {ok, Member} -> serve(Member, State);
        {error, Reason} -> failed(Reason, State)
    end.

%% Told once. Who holds the folder may let go of it: a former member of this node that is stopping.
failed(Reason, #state{failure = Known} = State) ->
    Words = ram_error:words(Reason),
    Reason =:= Known orelse ?LOG_ERROR("ram: the member did not start: ~ts", [Words]),
    State#state{failure = Reason, again = look_again(Reason, State)}.

look_again({in_use, _}, #state{again = Timer}) ->
    _ = Timer =:= undefined orelse erlang:cancel_timer(Timer),
    erlang:send_after(?LOOK_AGAIN_MS, self(), look_again);
look_again(_Reason, _State) -> undefined.

serve(Member, #state{config = #{call_timeout_ms := TimeoutMs, reads := Reads}} = State) ->
    ok = ram_nif:member_set_cookie(Member, State#state.cookie),
    ok = ram_request:set_member(Member, TimeoutMs, Reads),
    #{cluster := Cluster} = member_status(Member),
    Serving = State#state{member = Member, cluster = Cluster, failure = undefined},
    ok = ram_distribution:warn(node(), State#state.config),
    tell_address(nodes(connected), Serving),
    Serving.

settings(#state{config = Config, cookie = Cookie, storage = Storage}) ->
    Config#{cookie => Cookie, memory => Storage =:= memory}.

stop_member(#state{member = undefined} = State) ->
    State;
stop_member(State) ->
    {ok, Stopped} = ended(fun ram_nif:member_stop/1, State),
    Stopped.

%% Nobody asks the member from now on, and what it said until it ended must not be taken for the
%% words of the next one.
ended(End, #state{member = Member} = State) ->
    _ = ram_request:clear_member(),
    Result = End(Member),
    flush_events(),
    {Result, State#state{member = undefined}}.

flush_events() ->
    receive {ram_member, _} -> flush_events()
    after 0 -> ok
    end.

%% Its cluster has removed the member; what it held is kept until somebody says that it may go.
aside(#state{config = #{data_dir := Dir}} = State) ->
    case ended(fun ram_nif:member_set_aside/1, State) of
        {{ok, Prefix}, Ended} ->
            ?LOG_NOTICE("ram: this node was removed from its cluster; its data are kept as ~ts*",
                        [filename:join(Dir, Prefix)]),
            erased({ok, Ended});
        Failed ->
            erased(Failed)
    end.

%% The reply, and what is left when the files are gone, or some of them are not: the next look
%% finishes that.
erased({Result, State}) ->
    Left = State#state{coordinator = undefined, failure = undefined},
    case Result of
        ok ->
            {reply, ok, Left#state{cluster = undefined}};
        {error, {not_erased, Text}} ->
            {reply, Result, failed({not_erased, Text}, Left#state{cluster = undefined})};
        {error, _} ->
            {reply, Result, start_again(Left)}
    end.

join_cancelled({{error, joined} = Error, State}) ->
    {reply, Error, start_again(State#state{coordinator = undefined})};
join_cancelled(Ended) ->
    erased(Ended).

known_cluster(any, #state{cluster = undefined}) -> <<>>;
known_cluster(any, #state{cluster = Cluster}) -> Cluster;
known_cluster(Only, _State) -> Only.

description(#state{config = undefined}) ->
    {error, unnamed};
description(#state{misnamed = Text}) when is_binary(Text) ->
    {error, {renamed, Text}};
description(#state{member = undefined, cluster = undefined, failure = undefined}) ->
    none;
description(#state{member = undefined, cluster = undefined, failure = Reason}) ->
    {error, Reason};
description(#state{member = undefined, cluster = Cluster, storage = Storage}) ->
    #{cluster => Cluster, id => 0, address => <<>>, running => false, members => [],
      joined => true, joining => false, storage => Storage};
description(#state{member = Member, cluster = Cluster, coordinator = Coordinator} = State) ->
    #{id := Id, address := Address, joined := Joined, members := Members} = member_status(Member),
    #{cluster => Cluster, id => Id, address => Address, running => true,
      members => [binary_to_atom(Name) || {_Id, Name, _Address, _Standing} <- Members],
      joined => Joined, joining => Coordinator =/= undefined, storage => State#state.storage}.

silence(#state{config = undefined}) ->
    #{reason => unnamed};
silence(#state{config = #{data_dir := Dir, storage := Storage}, failure = Reason}) ->
    Told = #{data_dir => Dir, storage => Storage},
    case Reason of
        undefined -> Told#{reason => no_cluster};
        _ -> Told#{role => down, failure => Reason}
    end.

%% Only this process stops the member, so it has a status.
member_status(Member) ->
    {ok, Status} = ram_nif:member_status(Member),
    Status.

%% A member whose port changed while others were away: they learn it here, or when it connects.
tell_address(_Nodes, #state{member = undefined}) ->
    ok;
tell_address(Nodes, #state{member = Member, cluster = Cluster}) ->
    #{id := Id, address := Address} = member_status(Member),
    ram_node:tell_address(Nodes, Cluster, Id, Address).
